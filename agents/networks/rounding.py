"""Whether float32, which networks compute in, holds the differences between an environment's
observations."""

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agents.networks.packing import Packing

OBSERVATIONS = 1_000
"""So many are looked at, the first of a run."""
MIN_NUMBERS = 1_000
"""Float32 numbers within the range of a column that is held well enough."""
VISIBLE = 0.01
"""The least range of a column that a network could see anything in."""


class RoundingCheck:
    """The ranges of the first 1,000 observations of a space, packed, column by column."""

    def __init__(self, space: gymnasium.Space | None) -> None:
        """None where the network normalizes observations in float64, so that nothing is lost."""
        self.packing = Packing(space) if space is not None else None
        self.left = OBSERVATIONS
        self.low: dict[str, NDArray] = {}
        self.high: dict[str, NDArray] = {}

    def warning(self, observations: NDArray) -> str:
        """Takes in packed observations (T, N, ...). Returns one line, at the end of the first
        1,000, where float32 does not hold their differences; else nothing."""
        if self.packing is None or self.left <= 0:
            return ""
        rows = observations.reshape(observations.shape[0] * observations.shape[1], -1)
        for name, part in wide_parts(rows, self.packing).items():
            self.low[name] = np.minimum(self.low.get(name, np.inf), part.min(0))
            self.high[name] = np.maximum(self.high.get(name, -np.inf), part.max(0))
        self.left -= len(rows)
        if self.left > 0:
            return ""
        return next(
            (line for name in self.low if (line := rounded(name, self.low[name], self.high[name]))),
            "",
        )


def wide_parts(rows: NDArray, packing: Packing) -> dict[str, NDArray]:
    """The numbers (B, columns) of a Box, or of each part of a Dict, that float32 cannot hold all
    of."""
    if not packing.parts:
        return {"observation": rows} if loses_digits(rows.dtype) else {}
    return {
        name: np.ascontiguousarray(rows[:, packing.slices[name]]).view(part.dtype)
        for name, part in packing.parts.items()
        if loses_digits(part.dtype)
    }


def loses_digits(dtype: np.dtype) -> bool:
    """Whether a dtype has numbers that float32 cannot tell apart."""
    return not np.can_cast(dtype, np.float32)


def rounded(name: str, low: NDArray, high: NDArray) -> str:
    """One line about the worst column whose range (C,) has too few float32 numbers; nothing where
    there is none."""
    spread = (high - low).astype(np.float64)
    largest = np.maximum(np.abs(low), np.abs(high)).astype(np.float32)
    spacing = np.spacing(largest).astype(np.float64)
    numbers = np.where(spread >= VISIBLE, spread / spacing, np.inf)
    column = int(numbers.argmin())
    if not numbers[column] < MIN_NUMBERS:
        return ""
    return (
        f"{name}[{column}] was between {low[column]:,.7g} and {high[column]:,.7g} in the first "
        f"{OBSERVATIONS:,} env "
        f"steps, where the network's float32 numbers are {spacing[column]:.3g} apart: subtract a "
        "constant from it in "
        "the environment, or use an algorithm that has --algo.normalize-observations."
    )
