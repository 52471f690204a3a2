"""Checks of values that come from files: each names the file, the column, the row and the value
that is wrong."""

import gymnasium
import numpy as np
import psutil
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from common.info import ACTION_MASK
from common.spaces import has_mask, in_words

LARGEST = 1e30
"""The largest size of a number in a file: the sum of all rewards of an episode still fits a
float32."""


def require_all(
    good: NDArray, path: object, column: str, values: NDArray, rows: NDArray, wanted: str
) -> None:
    """Raises ValueError about the first of the values (M, ...) that is not good, bool (M, ...).

    `rows` (M,) are the numbers of their rows in the file, from 0."""
    if good.all():
        return
    row, *within = np.unravel_index(int(good.argmin()), good.shape)
    place = f"{column}[{', '.join(map(str, within))}]" if within else column
    value = values[(row, *within)]
    raise ValueError(f"{path}: {place} is {value} in row {rows[row]}; it must be {wanted}.")


def require_finite(path: object, column: str, values: NDArray, rows: NDArray) -> None:
    """Raises ValueError for NaN, infinity and numbers that are too large to compute with in
    float32."""
    if values.dtype.kind == "f":
        # In float16 the largest number would be infinite.
        numbers = values.astype(np.float32) if values.dtype.itemsize < 4 else values
        sound = np.abs(numbers) <= LARGEST  # false for NaN
        require_all(
            sound, path, column, values, rows, f"a finite number of at most {LARGEST:g} in size"
        )


def require_within(path: object, column: str, values: NDArray, rows: NDArray, space: Box) -> None:
    """Raises ValueError unless values (M, *shape) are finite and between the bounds of the
    space."""
    require_finite(path, column, values, rows)
    inside = (space.low <= values) & (values <= space.high)
    if inside.all():
        return
    within = np.unravel_index(int(inside.argmin()), inside.shape)[1:]
    bounds = (
        f"from {space.low[within]} to {space.high[within]}, the bounds of the environment's space"
    )
    require_all(inside, path, column, values, rows, bounds)


def require_observations(
    path: object, column: str, observations: NDArray, rows: NDArray, space: gymnasium.Space
) -> None:
    """Raises ValueError unless packed observations (M, ...) are of this space: its shape, its
    dtype, within its bounds."""
    from agents.networks.packing import Packing  # torch, which a command's help does without

    packing = Packing(space)
    if (observations.shape[1:], observations.dtype) != (packing.shape, packing.dtype):
        raise ValueError(
            f"{path} is not for observations of {in_words(space)}: its column {column} is "
            f"{kind_of(observations)}."
        )
    if isinstance(space, Dict):
        for name, part in packing.parts.items():
            numbers = np.ascontiguousarray(observations[:, packing.slices[name]]).view(part.dtype)
            numbers = numbers.reshape(len(observations), *part.shape)
            require_within(path, f"{name} of {column}", numbers, rows, part)
    elif isinstance(space, Box):
        require_within(path, column, observations, rows, space)


def require_actions(
    path: object, column: str, actions: NDArray, rows: NDArray, space: gymnasium.Space
) -> None:
    """Raises ValueError unless the actions (M, ...) are of this space: whole numbers of a Discrete,
    or numbers within the bounds of a Box."""
    if isinstance(space, Discrete):
        require_discrete(path, column, actions, rows, int(space.start), int(space.n))
    elif (
        not isinstance(space, Box)
        or actions.dtype.kind not in "iuf"
        or actions.shape[1:] != space.shape
    ):
        raise ValueError(
            f"{path} is not for actions of {in_words(space)}: its column {column} is "
            f"{kind_of(actions)}."
        )
    else:
        require_finite(path, column, actions, rows)
        require_within(path, column, actions.astype(space.dtype), rows, space)


def require_possible(
    path: object,
    column: str,
    actions: NDArray,
    rows: NDArray,
    observations: NDArray,
    space: gymnasium.Space,
) -> None:
    """Raises ValueError unless each action (M,) is one that its packed observation (M, ...) says to
    be possible; observations of a space without a mask say nothing of it."""
    from agents.networks.packing import Packing  # torch, which a command's help does without

    if not has_mask(space):
        return
    packing = Packing(space)
    part = packing.parts[ACTION_MASK]
    mask = np.ascontiguousarray(observations[:, packing.slices[ACTION_MASK]]).view(part.dtype)
    possible = mask[np.arange(len(actions)), actions] != 0
    require_all(possible, path, column, actions, rows, f"possible by {ACTION_MASK}")


def require_discrete(
    path: object, column: str, actions: NDArray, rows: NDArray, start: int, number: int
) -> None:
    """Raises ValueError unless the actions (M,) are whole numbers from `start`, below `start +
    number`."""
    if actions.ndim != 1 or actions.dtype.kind not in "iu":
        raise ValueError(
            f"{path} is not for {number} discrete actions: its column {column} is "
            f"{kind_of(actions)}."
        )
    known = (actions >= start) & (actions < start + number)
    require_all(known, path, column, actions, rows, f"from {start} to {start + number - 1}")


def kind_of(values: NDArray) -> str:
    """The dtype of a column and the shape of its rows, for messages."""
    return f"{values.dtype} of shape {values.shape[1:]}"


def free_memory() -> int:
    """The bytes of memory that new work can take on this machine."""
    return psutil.virtual_memory().available


def require_memory(needed: int, what: str, free: int | None = None) -> None:
    """Raises ValueError where so many bytes are more than are free; `free` is for those that were
    free before."""
    free = free_memory() if free is None else free
    if needed > free:
        raise ValueError(
            f"{what} would take {needed / 2**30:,.1f} GiB of memory; {free / 2**30:,.1f} GiB are "
            "free."
        )
