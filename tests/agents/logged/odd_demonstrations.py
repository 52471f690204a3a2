"""Odd demonstrations: strategies of safetensors files, sound ones and such with one fault each.

A fault changes one thing that no reader may take, and names the column that the refusal must tell;
`FAULTS` has all of them by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

ACTIONS = 3
SPACES = Box(-100.0, 100.0, (2,), np.float32), Discrete(ACTIONS)
"""Of observations and actions of all files here."""
SEEN = ("observations", "actions")
"""Columns that a reward by likeness reads, too."""

Draw = Callable[[st.SearchStrategy], Any]
Columns = dict[str, NDArray]


@dataclass
class OddDemonstrations:
    columns: Columns
    lengths: list[int]
    """Of the episodes, where the file is sound."""
    fault: str = ""
    """The name of what is wrong; empty for a sound file."""
    named: str = ""
    """What the refusal must name."""

    def write(self, path: Path) -> Path:
        save_file(self.columns, path)
        return path


@st.composite
def sound_demonstrations(draw: Draw) -> OddDemonstrations:
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    steps = sum(lengths)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    first = np.zeros(steps, np.bool_)
    first[np.cumsum([0, *lengths])[:-1]] = True
    columns = {
        "observations": random.uniform(-100, 100, (steps, 2)).astype(np.float32),
        "actions": random.integers(ACTIONS, size=steps),
        "rewards": random.uniform(-1e6, 1e6, steps).astype(np.float32),
        "first": first,
    }
    return OddDemonstrations(columns, lengths)


@st.composite
def faulty_demonstrations(draw: Draw, names: tuple[str, ...] = ()) -> OddDemonstrations:
    """A sound file to which one fault was done, any or one of these names."""
    shown = draw(sound_demonstrations())
    shown.fault = draw(st.sampled_from(names or tuple(FAULTS)))
    column, change = FAULTS[shown.fault]
    shown.named = column
    row = draw(st.integers(0, len(shown.columns["first"]) - 1))
    shown.columns[column] = change(shown.columns[column].copy(), row)
    return shown


Change = Callable[[NDArray, int], NDArray]
"""A column and the number of a row -> the column with something wrong, there or everywhere."""


def with_value(wrong: float) -> Change:
    def change(column: NDArray, row: int) -> NDArray:
        column[row] = wrong
        return column

    return change


def of_kind(dtype: Any) -> Change:
    return lambda column, row: column.astype(dtype)


def longer(column: NDArray, row: int) -> NDArray:
    return np.concatenate([column, column[:1]])


def shorter(column: NDArray, row: int) -> NDArray:
    return column[:-1]


def scalar(column: NDArray, row: int) -> NDArray:
    return np.array(column.ravel()[0])


def deeper(column: NDArray, row: int) -> NDArray:
    return np.stack([column, column], -1)


FAULTS: dict[str, tuple[str, Change]] = {
    **{
        f"observations {wrong}": ("observations", with_value(wrong))
        for wrong in (np.nan, np.inf, -np.inf, 100.5)
    },
    **{
        f"rewards {wrong}": ("rewards", with_value(wrong))
        for wrong in (np.nan, np.inf, -np.inf, 1e35)
    },
    **{f"actions {wrong}": ("actions", with_value(wrong)) for wrong in (-1, ACTIONS, 2**62)},
    "actions of floats": ("actions", of_kind(np.float32)),
    "actions of booleans": ("actions", of_kind(np.bool_)),
    "observations of float64": ("observations", of_kind(np.float64)),
    "observations of uint8": ("observations", of_kind(np.uint8)),
    "rewards of booleans": ("rewards", of_kind(np.bool_)),
    "first of floats": ("first", of_kind(np.float32)),
    "no first step": ("first", lambda column, row: np.zeros_like(column)),
    **{
        f"{name} longer": (name, longer) for name in ("observations", "actions", "rewards", "first")
    },
    **{
        f"{name} shorter": (name, shorter)
        for name in ("observations", "actions", "rewards", "first")
    },
    **{
        f"{name} a scalar": (name, scalar)
        for name in ("observations", "actions", "rewards", "first")
    },
    **{
        f"{name} deeper": (name, deeper) for name in ("observations", "actions", "rewards", "first")
    },
}
