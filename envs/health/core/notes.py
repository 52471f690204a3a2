"""Readings as a nurse would note them: in words, and only what is unusual."""

import numpy as np
from numpy.typing import NDArray

from common.text import to_bytes

NOTE_BYTES = 1_024
DEGREES = ((-1.5, "very low"), (-0.5, "low"), (0.5, ""), (1.5, "high"), (np.inf, "very high"))
"""What is said of a reading that is at most so many deviations above the mean."""


def described(
    names: tuple[str, ...], readings: NDArray, mean: NDArray, deviation: NDArray
) -> list[str]:
    """Readings (N, O) -> what is unusual of each patient, such as "lactate very high, pH low"."""
    plain = [name.split(",")[0] for name in names]
    degrees = np.searchsorted([bound for bound, _ in DEGREES], (readings - mean) / deviation)
    texts = []
    for row in degrees:
        said = [
            f"{plain[column]} {DEGREES[degree][1]}"
            for column, degree in enumerate(row)
            if DEGREES[degree][1]
        ]
        texts.append(", ".join(said) or "nothing unusual")
    return texts


def in_bytes(texts: list[str]) -> NDArray[np.uint8]:
    """UTF-8 (N, NOTE_BYTES), zeros after it; what does not fit is left out."""
    return np.stack([to_bytes(text, NOTE_BYTES) for text in texts])
