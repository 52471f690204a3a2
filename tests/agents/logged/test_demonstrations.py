"""Demonstrations and logs: windows that leave nothing out, what followed each step, and returns by
hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from agents.logged.demonstrations import (
    Demonstrations,
    Log,
    LoggedSteps,
    in_turn,
    returns_of,
    windows,
)
from agents.logged.episodes import Episodes
from agents.logged.log_file import write_log

SPACES = Box(-10, 10, (2,), np.float32), Discrete(3)


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
    assert windows(first, 4).tolist() == [
        0,
        3,
        5,
    ]  # the second begins with the episode that the first cuts off


def test_returns_by_hand() -> None:
    rewards, first = np.array([0, 1, 4, 2], np.float32), np.array([1, 0, 0, 1], np.bool_)
    assert returns_of(rewards, first, 0.5).tolist() == [1.5, 3.0, 4.0, 2.0]


def test_small_rewards_count_beside_a_large_sum() -> None:
    """1,000 times 0.9 before 2^24, where float32's numbers are one and two apart: in float32 each
    adds 1."""
    rewards = np.full(1_001, 0.9, np.float32)
    rewards[-1] = 2**24
    first = np.arange(1_001) == 0
    assert returns_of(rewards, first, 1.0)[0] == 2**24 + 900


def test_each_window_comes_once_an_epoch(tmp_path: Path) -> None:
    shown = Demonstrations.read(write(tmp_path / "d"), *SPACES, discount=1.0, length=4)
    drawn = [shown.draw(already, 1, seed=1) for already in range(6)]
    begins = [int(part.observations[0, 0, 0]) for part in drawn]
    assert sorted(begins[:3]) == sorted(begins[3:]) == [0, 3, 5]
    both = shown.draw(0, 2, seed=1)
    assert both.observations[0, :, 0].tolist() == begins[:2], (
        "what is drawn at once is what is drawn one by one"
    )
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


def log(path: Path, lengths: tuple[int, ...] = (3, 2, 4)) -> str:
    """As `write`, as Parquet; the second episode was cut off, and after each last step comes a
    number of its own."""
    longest, count = max(lengths), len(lengths)
    clock = np.arange(longest)[:, None]
    alive = clock < np.array(lengths)
    numbers = np.where(alive, clock + np.cumsum([0, *lengths[:-1]]), 0)
    episodes = Episodes(
        np.repeat(numbers[..., None], 2, 2).astype(np.float32),
        numbers % 3 * alive,
        numbers.astype(np.float64),
        np.zeros((longest, count)),
        np.zeros((longest, count, 0)),
        alive,
        np.arange(count) != 1,
        np.repeat(-1.0 - np.arange(count)[:, None], 2, 1).astype(np.float32),
        {"weight": np.arange(count, dtype=np.float64)},
    )
    write_log(episodes, path, {"env": "numbers"})
    return str(path)


def test_both_kinds_of_file_are_read_alike(tmp_path: Path) -> None:
    shown = Log.read(write(tmp_path / "d"), *SPACES)
    logged = Log.read(log(tmp_path / "d.parquet"), *SPACES)
    for name in ("observations", "actions", "rewards", "first"):
        one, other = getattr(shown, name), getattr(logged, name)
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    assert shown.terminated.tolist() == [True, True, True]
    assert logged.terminated.tolist() == [True, False, True]
    windows = (
        Demonstrations.read(str(tmp_path / name), *SPACES, 0.5, 4) for name in ("d", "d.parquet")
    )
    one, other = (part.draw(0, 3, seed=1) for part in windows)
    assert one.returns.tolist() == other.returns.tolist()


def test_what_followed_each_step_by_hand(tmp_path: Path) -> None:
    steps = LoggedSteps.of(Log.read(log(tmp_path / "d.parquet"), *SPACES), length=1)
    assert steps.seen[steps.following][:, 0].tolist() == [1, 2, -1, 4, -2, 6, 7, 8, -3]
    assert np.flatnonzero(steps.terminated).tolist() == [2, 8]
    assert np.flatnonzero(steps.truncated).tolist() == [4]
    drawn = steps.draw(0, 9, seed=3)
    by_number = np.argsort(drawn.observations[0, :, 0])
    assert drawn.next_observations[0, by_number, 1].tolist() == [1, 2, -1, 4, -2, 6, 7, 8, -3]
    assert drawn.actions[0, by_number].tolist() == [0, 1, 2] * 3
    assert drawn.env_steps() == 9


def test_steps_come_once_an_epoch_however_many_are_drawn_at_once(tmp_path: Path) -> None:
    whole = Log.read(log(tmp_path / "d.parquet"), *SPACES)
    steps, rows = LoggedSteps.of(whole, length=3), LoggedSteps.of(whole, length=1)
    six = np.concatenate(
        [steps.draw(already, 2, seed=1).rewards.flatten() for already in (0, 2, 4)]
    )
    one = np.concatenate([rows.draw(already, 1, seed=1).rewards.flatten() for already in range(18)])
    assert six.tolist() == one.tolist()
    assert sorted(six[:9]) == sorted(six[9:]) == list(range(9))
    assert six[:9].tolist() != six[9:].tolist()
    assert (
        LoggedSteps.of(whole, 9).draw(0, 1, seed=2).rewards.flatten().tolist() != six[:9].tolist()
    )


@given(st.integers(1, 7), st.integers(0, 20), st.integers(1, 30))
def test_numbers_in_turn_go_on_where_they_were(count: int, already: int, size: int) -> None:
    assert (
        in_turn(count, already, size, 1).tolist()
        == in_turn(count, 0, already + size, 1)[already:].tolist()
    )


def test_rewards_are_counted_in_deviations_of_the_return(tmp_path: Path) -> None:
    path = log(tmp_path / "d.parquet")
    whole = Log.read(path, *SPACES)
    unit = float(np.std([0 + 1 + 2, 1 + 2, 2, 3 + 4, 4, 5 + 6 + 7 + 8, 6 + 7 + 8, 7 + 8, 8]))
    assert whole.reward_unit(1.0) == pytest.approx(unit)
    assert LoggedSteps.of(whole, 9, unit).draw(0, 1, 1).rewards.max() == pytest.approx(8 / unit)
    scaled = Demonstrations.read(path, *SPACES, 1.0, 4, normalize_rewards=True)
    assert scaled.columns["returns"].std() == pytest.approx(1.0)
    assert replace(whole, rewards=np.zeros(9, np.float32)).reward_unit(1.0) == 1.0


def test_a_log_of_something_else_is_refused(tmp_path: Path) -> None:
    path = log(tmp_path / "d.parquet")
    with pytest.raises(
        ValueError,
        match=r"d\.parquet is not for observations of Box.*its column observation is float32 of "
        r"shape \(2,\)",
    ):
        Log.read(path, Box(0, 1, (3,), np.float32), SPACES[1])
    with pytest.raises(ValueError, match=r"action is 2 in row 2; it must be from 0 to 1"):
        Log.read(path, SPACES[0], Discrete(2))
    with pytest.raises(ValueError, match=r"for actions of Box"):
        Log.read(path, SPACES[0], Box(0, 1, (1,), np.float32))
    write(tmp_path / "other.parquet")
    for name in ("none.parquet", "other.parquet"):
        with pytest.raises(ValueError, match=r"holds no logged episodes.*log_episodes\.py"):
            Log.read(str(tmp_path / name), *SPACES)
