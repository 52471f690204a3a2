"""SEIRAH, an epidemic of COVID-19 in a French region (Prague et al. 2020), and the twelve regions
it was fitted to.

People are susceptible (S), exposed (E), infected and ascertained (I), removed (R), infected without
being ascertained (A), or in hospital (H). french_regions.csv has a region's people and beds for
intensive care, the people exposed, infected and in hospital on the first day, and the logarithm of
what multiplies transmission in a lockdown's first, second, third and further weeks; `_sd` are the
standard deviations of the estimates. These figures, and those below, are Prague et al.'s as
EpidemiOptim uses them (Colas et al. 2021). Synthetic; not for clinical use."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.health.core.cohorts import COHORT_SEEDS, Cohort
from envs.health.core.ode import runge_kutta_step

TRANSMISSION = 2.23261, 0.00377522
"""Of all regions: mean and standard deviation of its estimate, 1/day."""
ADMISSION_DAYS = 0.362046, 0.0115174
"""From the onset of an ascertained infection to hospital (Dq): mean and standard deviation of its
estimate."""
ASSUMED = {
    "latent_days": 5.1,  # exposed (De)
    "infectious_days": 2.3,  # Di
    "hospital_days": 30.0,  # Dh
    "unascertained": 0.55,  # how much those transmit who are not ascertained, as a share (alpha)
    "ascertained": 0.034,  # share of the infections (r)
}
VARYING = 0.1
"""Coefficient of variation of what is assumed, as in Colas et al."""
LONGEST_UNNOTICED_DAYS = 20
"""For how long, at most, nothing is done, as in Colas et al."""
VARIANT = 1.5
"""What a variant multiplies transmission by; Alpha 1.43 to 1.9 (Davies et al. 2021)."""
PUBLISHED = "Ile-de-France"
HELD_OUT = ("Bretagne", "Nouvelle-Aquitaine", "Pays de la Loire", "Provence-Alpes-Cote d'Azur")
SUBSTEPS = 4
"""A day; the fastest rate is 1 / Dq, 2.8 a day."""
S, E, I, R, A, H, ONSETS, ADMISSIONS = range(8)  # noqa: E741
"""Rows of a state, in people; of onsets and admissions how many there were since the first
decision."""


def regions() -> dict[str, dict[str, float]]:
    """The table, by region and column."""
    with Path(__file__).with_name("french_regions.csv").open(encoding="utf-8") as file:
        lines = (line for line in file if not line.startswith("#"))
        rows = {row.pop("region"): row for row in csv.DictReader(lines)}
    return {
        region: {name: float(value) for name, value in row.items()} for region, row in rows.items()
    }


def epidemics(
    cohort: Cohort, count: int = 1_000
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Parameters by name, each (count,), and states (8, count) when it is first decided.

    The published cohort is one epidemic: Ile-de-France with the means, on the first day. In the
    others each is in one of the cohort's regions, its parameters as uncertain as they were
    estimated to be, after up to 20 days in which nothing was done; in the shifted cohort, in the
    regions held out, of a variant."""
    table = regions()
    if cohort == "published":
        names = [PUBLISHED]
        days = np.zeros(1)
        deviations = np.zeros((12, 1))
    else:
        random = np.random.default_rng([COHORT_SEEDS[cohort], len(table)])
        own = (
            HELD_OUT
            if cohort != "train"
            else [name for name in table if name not in (*HELD_OUT, PUBLISHED)]
        )
        names = [own[which] for which in random.integers(len(own), size=count)]
        days = random.integers(LONGEST_UNNOTICED_DAYS + 1, size=count)
        deviations = random.standard_normal((12, count))
    column = {
        name: np.array([table[region][name] for region in names]) for name in table[PUBLISHED]
    }
    p = {
        "transmission": log_normal(*TRANSMISSION, deviations[0])
        * (VARIANT if cohort == "shifted" else 1.0),
        "admission_days": log_normal(*ADMISSION_DAYS, deviations[1]),
        "people": column["people"],
        "icu_beds": column["icu_beds"],
    }
    for (name, value), deviation in zip(ASSUMED.items(), deviations[2:7], strict=True):
        p[name] = value * (1 + VARYING * deviation)
    for week, deviation in zip(("week1", "week2", "week3", "week4"), deviations[7:11], strict=True):
        p[week] = column[week] + column[f"{week}_sd"] * deviation
    state = np.zeros((8, len(names)))
    state[E] = log_normal(column["exposed"], column["exposed_sd"], deviations[11])
    state[I] = column["infected"]
    state[H] = column["hospital"]
    state[A] = state[I] * (1 - p["ascertained"]) / p["ascertained"]
    state[S] = p["people"] - state.sum(0)
    for day in range(LONGEST_UNNOTICED_DAYS):
        # Every epidemic is simulated for the longest time; one whose days are over stays as it is.
        state = np.where(day < days, after_a_day(state, p["transmission"], p), state)
    state[[ONSETS, ADMISSIONS]] = 0
    return p, state


def log_normal(
    mean: NDArray[np.float64] | float,
    deviation: NDArray[np.float64] | float,
    standard: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Standard normal numbers -> log-normal ones with this mean and standard deviation; zero -> the
    mean."""
    spread = np.log1p((deviation / np.asarray(mean)) ** 2)
    # Only the published cohort has numbers of exactly zero, and it is to have the means.
    return mean * np.exp(np.sqrt(spread) * standard - np.where(standard == 0, 0, spread / 2))


def after_a_day(
    state: NDArray[np.float64], transmission: NDArray[np.float64], p: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The state (8, N) a day later, with this transmission (N,), 1/day."""
    for _ in range(SUBSTEPS):
        state = runge_kutta_step(lambda state: rates(state, transmission, p), state, 1 / SUBSTEPS)
    return state


def rates(
    state: NDArray[np.float64], transmission: NDArray[np.float64], p: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Prague et al. 2020, equation 1: changes a day (8, N)."""
    infections = transmission * state[S] * (state[I] + p["unascertained"] * state[A]) / p["people"]
    onsets = state[E] / p["latent_days"]
    admissions = state[I] / p["admission_days"]
    removed = state[I] / p["infectious_days"]
    unnoticed = state[A] / p["infectious_days"]
    discharged = state[H] / p["hospital_days"]
    return np.stack(
        [
            -infections,
            infections - onsets,
            p["ascertained"] * onsets - admissions - removed,
            removed + unnoticed + discharged,
            (1 - p["ascertained"]) * onsets - unnoticed,
            admissions - discharged,
            onsets,
            admissions,
        ]
    )
