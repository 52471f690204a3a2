"""The ring of frames against a buffer that keeps everything whole."""

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.replay.buffer import Frames, Replay
from envs.atari.games import AtariConfig
from tests.agents.replay.histories import (
    FRAME,
    UNIFORM,
    Step,
    check_all_that_can_be_drawn,
    episodes,
    experience_of,
    filled,
    make,
)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_envs=st.integers(1, 3),
    stack=st.integers(1, 4),
    n_step=st.integers(1, 4),
    spare=st.integers(0, 20),
    pieces=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    prioritized=st.booleans(),
)
def test_transitions_are_those_of_a_buffer_that_keeps_everything(
    seed: int,
    num_envs: int,
    stack: int,
    n_step: int,
    spare: int,
    pieces: list[int],
    prioritized: bool,
) -> None:
    rng = np.random.default_rng(seed)
    columns = [episodes(rng, sum(pieces) + n_step, stack) for _ in range(num_envs)]
    replay = make(
        stack + n_step + 1 + spare, num_envs, stack, n_step, priority_exponent=float(prioritized)
    )
    added = 0
    for piece in pieces:
        replay.add(experience_of(columns, added, added + piece))
        added += piece
        check_all_that_can_be_drawn(replay, columns, added)
    if replay.priorities is not None:
        np.testing.assert_array_equal(replay.priorities.leaves > 0, replay.drawable)


def test_stacks_of_real_games_are_rebuilt_to_the_bit() -> None:
    """Through lost lives, ends of games, truncation, and the ring's end."""
    config = AtariConfig("Breakout", max_frames_per_episode=400)
    env = config.build_vector(2)
    replay = Replay(
        240, 2, (4, 84, 84), np.uint8, (), np.int64, stack=4, n_step=1, discount=1.0, **UNIFORM
    )
    rng, seen = np.random.default_rng(0), []
    observations, _ = env.reset(seed=1)
    first = np.ones(2, np.bool_)
    for _ in range(300):
        actions = rng.integers(env.single_action_space.n, size=2)
        before = observations.copy()
        observations, rewards, over, truncated, info = env.step(actions)
        terminated = info["learning_terminated"]
        finals = np.array([None, None], object)
        for n in np.flatnonzero(over | truncated):
            finals[n] = info["final_obs"][n][-1].copy()
        step = (
            before[:, -1],
            actions,
            rewards,
            terminated,
            truncated & ~terminated,
            first,
            first,
            finals,
        )
        replay.add(Frames(*(np.asarray(column)[None] for column in step)))
        seen.append(before)
        first = over | truncated
    assert replay.drawable.sum() > 200
    ages = set()
    for row in np.flatnonzero(replay.drawable):
        t = 299 - (299 - row // 2) % 120
        np.testing.assert_array_equal(
            replay.observations(np.array([row]))[0].numpy(), seen[t][row % 2]
        )
        ages.add(int(replay.age[row]))
    assert ages == {0, 1, 2, 3}


def test_another_environments_stacks_are_left_out_until_they_are_whole() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(1, 256, (20, *FRAME), np.uint8)

    def running(t: int) -> Step:
        """A step in the middle of an episode: its stack is full."""
        return Step(frames[t : t + 4], 0, 1.0, False, False, False, frames[t + 1 : t + 5])

    steps = [running(t) for t in range(5)] + [running(t) for t in range(9, 16)]
    replay = make(20, 1)
    replay.add(experience_of([steps], 0, 5).set_apart())
    replay.add(experience_of([steps], 5, 12).set_apart())
    # Rows 0-2 and 5-7 lack frames, row 4's successor is another environment's, row 11's is not
    # there yet.
    assert np.flatnonzero(replay.drawable).tolist() == [3, 8, 9, 10]
    for row in (3, 8, 9, 10):
        np.testing.assert_array_equal(
            replay.observations(np.array([row]))[0].numpy(), steps[row].observation
        )


def test_uniform_draws_take_every_row_that_can_be_drawn_equally_often() -> None:
    replay, _ = filled()
    random = np.random.default_rng(0)
    counts = np.bincount(
        np.concatenate([replay.draw(50, random).rows for _ in range(400)]), minlength=60
    )
    assert counts[~replay.drawable].sum() == 0
    expected = 20_000 / replay.drawable.sum()
    chi_square = ((counts[replay.drawable] - expected) ** 2 / expected).sum()
    freedom = replay.drawable.sum() - 1
    assert chi_square < freedom + 3.3 * np.sqrt(2 * freedom)


def test_priorities_decide_how_often_and_weights_undo_it() -> None:
    replay, _ = filled(priority_exponent=0.5)
    random = np.random.default_rng(0)
    rows = np.flatnonzero(replay.drawable)
    errors = np.linspace(0.1, 4.0, len(rows))
    replay.prioritize(rows, errors)
    counts = np.bincount(
        np.concatenate([replay.draw(1, random).rows for _ in range(20_000)]), minlength=60
    )[rows]
    expected = 20_000 * np.sqrt(errors) / np.sqrt(errors).sum()
    freedom = len(rows) - 1
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 3.3 * np.sqrt(2 * freedom)
    drawn = replay.draw(64, random, importance_exponent=1.0)
    # By hand: probability ~ sqrt(error), so weight ~ 1 / sqrt(error), the largest of the batch 1.
    error = dict(zip(rows.tolist(), errors, strict=True))
    inverse = np.array([1 / np.sqrt(error[row]) for row in drawn.rows.tolist()])
    np.testing.assert_allclose(drawn.weights, inverse / inverse.max(), rtol=1e-4)


def test_new_rows_come_with_the_largest_priority_yet() -> None:
    replay, columns = filled(priority_exponent=1.0)
    assert replay.priorities is not None
    replay.prioritize(np.flatnonzero(replay.drawable)[:3], np.array([0.5, 7.0, 2.0]))
    before = replay.drawable.copy()
    replay.add(experience_of(columns, 50, 55))
    new = replay.drawable & ~before
    assert new.any()
    np.testing.assert_allclose(replay.priorities.leaves[new], 7.0, rtol=1e-5)


def test_what_was_overwritten_since_it_was_drawn_gets_no_priority() -> None:
    replay, columns = filled(priority_exponent=1.0)
    drawn = replay.draw(40, np.random.default_rng(0))
    replay.add(experience_of(columns, 50, 70))
    replay.prioritize(drawn.rows, np.full(40, 9.0))
    assert replay.priorities is not None
    assert not replay.priorities.leaves[~replay.drawable].any()


def test_a_few_steps_that_can_be_drawn_are_found_among_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replay = make(40_000, 2, stack=1)
    replay.added = 40_000
    replay.drawable[[5, 9, 70_000]] = True
    drawn = replay._uniform(3_000, np.random.default_rng(0))
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [5, 9, 70_000]
    assert counts.min() > 900  # 1,000 each, with a deviation of 26


def test_too_small_a_replay_is_refused() -> None:
    make(6, 2)
    with pytest.raises(ValueError, match="must hold at least 12"):
        make(5, 2)


def test_a_disk_without_room_for_the_frames_is_told_at_once(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            make(30, 2, memory_map=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_frames_can_lie_in_a_file(tmp_path: Path) -> None:
    mapped, columns = filled(memory_map=tmp_path / "replay")
    assert isinstance(mapped.frames, np.memmap)
    check_all_that_can_be_drawn(mapped, columns, 50)
