"""Readings as a nurse would note them: in words, and only what is unusual."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.text import to_bytes

if TYPE_CHECKING:
    from envs.health.treatment import TreatmentConfig

NOTE_BYTES = 1_024
PATIENTS, STEPS = 200, 10
"""Of whom it is learnt what is usual: patients to train on, treated by chance."""
DEGREES = ((-1.5, "very low"), (-0.5, "low"), (0.5, ""), (1.5, "high"), (np.inf, "very high"))
"""What is said of a reading that is at most so many deviations above the mean."""


@lru_cache
def usual(config: "TreatmentConfig") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each reading (O,)."""
    env = config.build_vector(PATIENTS)
    seen = [env.reset(seed=0)[0]]
    env.action_space.seed(0)
    seen += [env.step(env.action_space.sample())[0] for _ in range(STEPS)]
    every = np.concatenate(seen).astype(np.float64)
    return every.mean(0), np.maximum(every.std(0), 1e-6)


def noted(names: tuple[str, ...], readings: NDArray, mean: NDArray, deviation: NDArray) -> list[str]:
    """Readings (N, O) -> what is unusual of each patient, such as "lactate very high, pH low"."""
    plain = [name.split(",")[0] for name in names]
    degrees = np.searchsorted([bound for bound, _ in DEGREES], (readings - mean) / deviation)
    texts = []
    for row in degrees:
        said = [f"{plain[column]} {DEGREES[degree][1]}" for column, degree in enumerate(row) if DEGREES[degree][1]]
        texts.append(", ".join(said) or "nothing unusual")
    return texts


def in_bytes(texts: list[str]) -> NDArray[np.uint8]:
    """UTF-8 (N, NOTE_BYTES), zeros after it; what does not fit is left out."""
    return np.stack([to_bytes(text, NOTE_BYTES) for text in texts])
