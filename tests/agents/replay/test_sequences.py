"""Stretches of steps are those that were lived, and what follows them is known or left out."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.replay.buffer import FramesAndMemories
from agents.replay.sequences import can_draw, draw_sequences
from tests.agents.replay.histories import DISCOUNT, episodes, experience_of, make, transition_of

NUM_ENVS = 2
SIZE = 40


@given(
    seed=st.integers(0, 10_000),
    ring=st.integers(16, 40),
    added=st.integers(40, 70),
    length=st.integers(1, 8),
    n_step=st.integers(1, 4),
    stack=st.sampled_from([1, 4]),
)
def test_stretches_are_those_of_a_buffer_that_keeps_everything(
    seed: int, ring: int, added: int, length: int, n_step: int, stack: int
) -> None:
    columns = [episodes(np.random.default_rng(seed + n), 80, stack) for n in range(NUM_ENVS)]
    replay = make(ring, NUM_ENVS, stack=stack, n_step=n_step, memory_size=2)
    experience = experience_of(columns, 0, added)
    memories = np.zeros((added, NUM_ENVS, 2), np.float32)
    memories[:, :, 0], memories[:, :, 1] = np.arange(added)[:, None], np.arange(NUM_ENVS)
    parts = {field.name: getattr(experience, field.name) for field in fields(experience)}
    replay.add(FramesAndMemories(**parts, memories=memories))
    drawn = draw_sequences(replay, SIZE, length, n_step, DISCOUNT, np.random.default_rng(seed))
    assert drawn.observations.shape[:2] == drawn.first.shape == (length + n_step, SIZE)
    for b in range(SIZE):
        start, environment = drawn.memories[b].astype(int)
        steps = columns[environment]
        assert max(0, added - ring) + stack - 1 <= start <= added - length - n_step
        for i in range(length):
            step = steps[start + i]
            _, action, total, discount, after = transition_of(steps, start + i, n_step)
            assert drawn.first[i, b] == step.first
            assert drawn.actions[i, b] == action
            if not drawn.known[i, b]:
                continue
            np.testing.assert_array_equal(drawn.observations[i, b], step.observation)
            rewards = drawn.rewards[:, i, b]
            assert (rewards * DISCOUNT ** np.arange(n_step)).sum() == pytest.approx(total)
            assert drawn.discounts[i, b] == discount
            if discount > 0:
                following = drawn.observations[drawn.after[i, b], b]
                np.testing.assert_array_equal(following, after)


def test_only_what_followed_a_cut_episode_is_unknown() -> None:
    """Of whole stacks, with every end known: steps whose values follow a truncation are left out,
    and no others."""
    columns = [episodes(np.random.default_rng(n), 80, 1, known=1.0) for n in range(NUM_ENVS)]
    replay = make(80, NUM_ENVS, stack=1, n_step=2)
    replay.add(experience_of(columns, 0, 60))
    drawn = draw_sequences(replay, SIZE, 10, 2, DISCOUNT, np.random.default_rng(0))
    assert 0.5 < drawn.known.mean() < 1.0
    starts = replay.steps_of(drawn.rows)
    for b, start in enumerate(starts):
        steps = columns[drawn.rows[b] % NUM_ENVS]
        for i in range(10):
            now, then = steps[start + i], steps[start + i + 1]
            cut = now.truncated or (not now.terminated and then.truncated)
            # A lost life's step is an end for the learner, whatever the game does.
            assert drawn.known[i, b] == (not cut or now.terminated), (b, i)


def test_a_replay_waits_until_it_has_a_whole_stretch() -> None:
    columns = [episodes(np.random.default_rng(n), 80, 1) for n in range(NUM_ENVS)]
    replay = make(20, NUM_ENVS, stack=1)
    replay.add(experience_of(columns, 0, 11))
    assert not can_draw(replay, length=9, n_step=3)
    assert can_draw(replay, length=8, n_step=3)
    one = draw_sequences(replay, 8, 8, 3, DISCOUNT, np.random.default_rng(0))
    assert (replay.steps_of(one.rows) == 0).all()
