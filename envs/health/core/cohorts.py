"""Cohorts of patients: the parameters of populations to train on, to hold out, and of another
kind."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Cohort = Literal["published", "train", "held-out", "shifted"]

COHORT_SEEDS: dict[str, int] = {"train": 1, "held-out": 2, "shifted": 3}
"""Patients of different cohorts are drawn apart."""


def population(
    published: Mapping[str, float],
    varying: Mapping[str, float],
    cohort: Cohort,
    patients: int = 1_000,
) -> dict[str, NDArray[np.float64]]:
    """Patients' parameters, each (patients,): log-normally around the published ones, with these
    coefficients of variation; in a shifted cohort with twice as much, around 1.25 times or 1 / 1.25
    of them. The published cohort is one patient."""
    if cohort == "published":
        return {name: np.array([value]) for name, value in published.items()}
    random = np.random.default_rng([COHORT_SEEDS[cohort], len(published)])
    table = {}
    for name, value in published.items():
        deviation = varying.get(name, 0.0)
        middle = value
        if cohort == "shifted" and deviation:
            middle = value * random.choice([1.25, 0.8])
            deviation = 2 * deviation
        table[name] = middle * np.exp(deviation * random.standard_normal(patients))
    return table
