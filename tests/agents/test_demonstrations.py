"""Demonstrations: windows that leave nothing out, and returns by hand."""

from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from agents.demonstrations import Demonstrations, returns_of, windows

SPACES = Box(0, 1, (2,), np.float32), Discrete(3)


def write(path: Path, lengths: tuple[int, ...] = (3, 2, 4)) -> str:
    steps = sum(lengths)
    first = np.zeros(steps, np.bool_)
    first[np.cumsum([0, *lengths])[:-1]] = True
    columns = {
        "observations": np.repeat(np.arange(steps, dtype=np.float32)[:, None], 2, 1),
        "actions": np.arange(steps) % 3,
        "rewards": np.arange(steps, dtype=np.float32),
        "first": first,
    }
    save_file(columns, path)
    return str(path)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 7))
def test_windows_have_every_row_and_begin_with_episodes(lengths: list[int], length: int) -> None:
    first = np.zeros(sum(lengths), np.bool_)
    first[np.cumsum([0, *lengths])[:-1]] = True
    length = min(length, len(first))
    starts = windows(first, length)
    assert set((starts[:, None] + np.arange(length)).flatten().tolist()) == set(range(len(first)))
    if max(lengths) <= length:
        assert first[starts[:-1]].all()


def test_windows_by_hand() -> None:
    first = np.array([1, 0, 0, 1, 0, 1, 0, 0, 0], np.bool_)
    assert windows(first, 4).tolist() == [0, 3, 5]  # the second begins with the episode that the first cuts off


def test_returns_by_hand() -> None:
    rewards, first = np.array([0, 1, 4, 2], np.float32), np.array([1, 0, 0, 1], np.bool_)
    assert returns_of(rewards, first, 0.5).tolist() == [1.5, 3.0, 4.0, 2.0]


def test_each_window_comes_once_an_epoch(tmp_path: Path) -> None:
    shown = Demonstrations.read(write(tmp_path / "d"), *SPACES, discount=1.0, length=4)
    drawn = [shown.draw(already, 1, seed=1) for already in range(6)]
    begins = [int(part.observations[0, 0, 0]) for part in drawn]
    assert sorted(begins[:3]) == sorted(begins[3:]) == [0, 3, 5]
    both = shown.draw(0, 2, seed=1)
    assert both.observations[0, :, 0].tolist() == begins[:2], "what is drawn at once is what is drawn one by one"
    [whole] = [part for part in drawn[:3] if part.observations[0, 0, 0] == 3]
    assert whole.first[:, 0].tolist() == [True, False, True, False]
    assert whole.returns[:, 0].tolist() == [7.0, 4.0, 26.0, 21.0]


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--algo\.demonstrations FILE"):
        Demonstrations.read("", *SPACES, discount=1.0, length=4)
    with pytest.raises(ValueError, match="holds no demonstrations"):
        Demonstrations.read(str(tmp_path / "none"), *SPACES, discount=1.0, length=4)
    path = write(tmp_path / "d")
    with pytest.raises(ValueError, match="for observations of"):
        Demonstrations.read(path, Box(0, 1, (3,), np.float32), SPACES[1], discount=1.0, length=4)
    with pytest.raises(ValueError, match="for actions of"):
        Demonstrations.read(path, SPACES[0], Box(0, 1, (2,), np.float32), discount=1.0, length=4)
    with pytest.raises(ValueError, match="has 9 steps, fewer than a window's 10"):
        Demonstrations.read(path, *SPACES, discount=1.0, length=10)
