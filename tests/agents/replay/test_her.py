"""Hindsight against a loop that knows whole episodes."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Space
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.networks.packing import Packing
from agents.replay.buffer import Frames, Replay
from agents.replay.her import Hindsight, Strategy, goal_packing, goal_rewards
from envs.classic import ClassicConfig
from envs.robots.panda import PandaConfig
from envs.spaces import standard

# An observation is (environment, episode, step in it, achieved, desired): all that a test wants to
# know of it.
ACHIEVED, DESIRED = slice(3, 4), slice(4, 5)


parts = [("where", 3), ("achieved_goal", 1), ("desired_goal", 1)]
PACKING = Packing(
    Dict(OrderedDict((name, Box(-999, 999, (size,), np.float32)) for name, size in parts))
)
assert (PACKING.slices["achieved_goal"], PACKING.slices["desired_goal"]) == (ACHIEVED, DESIRED)


def reward(achieved: NDArray, desired: NDArray) -> NDArray:
    return -np.abs(achieved - desired)[:, 0]


def observation(env: int, episode: int, step: int) -> list[float]:
    return [env, episode, step, 100 * env + 10 * episode + step + 0.5, -1.0]


def experience(lengths: list[list[int]], steps: int) -> Frames:
    """Episodes of these lengths in each environment, one after the other, each truncated at its
    end."""
    shape = (steps, len(lengths))
    columns: dict[str, Any] = {
        "observations": np.zeros((*shape, 5), np.float32),
        "actions": np.zeros((*shape, 1), np.float32),
        "rewards": np.full(shape, -9.0, np.float32),
        "terminated": np.zeros(shape, np.bool_),
        "truncated": np.zeros(shape, np.bool_),
        "first": np.zeros(shape, np.bool_),
    }
    finals = np.full(shape, None, object)
    for n, own in enumerate(lengths):
        episode = step = 0
        for t in range(steps):
            columns["observations"][t, n] = observation(n, episode, step)
            columns["first"][t, n] = step == 0
            step += 1
            if step == own[episode % len(own)]:
                columns["truncated"][t, n] = True
                finals[t, n] = np.array(observation(n, episode, step), np.float32)
                episode, step = episode + 1, 0
    return Frames(**columns, starts=columns["first"], finals=finals)


def filled(lengths: list[list[int]], steps: int, ring: int) -> Replay:
    num_envs = len(lengths)
    replay = Replay(
        ring * num_envs, num_envs, (5,), np.float32, (1,), np.float32,
        stack=1, n_step=1, discount=0.9, priority_exponent=0.0,
    )  # fmt: skip
    replay.add(experience(lengths, steps))
    return replay


def make(strategy: Strategy, share: float = 1.0) -> Hindsight:
    return Hindsight(strategy, share, PACKING, reward)


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=3), min_size=1, max_size=3),
    steps=st.integers(12, 40),
    ring=st.integers(8, 30),
    strategy=st.sampled_from(["future", "final", "episode"]),
)
def test_goals_are_what_the_same_episode_achieved_where_the_strategy_says(
    lengths: list[list[int]], steps: int, ring: int, strategy: Strategy
) -> None:
    replay, random = filled(lengths, steps, ring), np.random.default_rng(0)
    drawn = make(strategy).relabel(replay, replay.draw(64, random), random)
    oldest = max(0, steps - ring)
    for before, after, told in zip(
        drawn.observations.tolist(),
        drawn.next_observations.tolist(),
        drawn.rewards[0].tolist(),
        strict=True,
    ):
        env, episode, step = (int(x) for x in before[:3])
        assert [int(x) for x in after[:3]] == [env, episode, step + 1]
        own = lengths[env]
        begun = sum(own[e % len(own)] for e in range(episode))
        # What the episode achieved after each of its steps that are held and whose successors are
        # known.
        length = own[episode % len(own)]
        known = range(
            max(0, oldest - begun), length if begun + length <= steps else steps - 1 - begun
        )
        allowed = {
            "future": [s for s in known if s >= step],
            "final": [known[-1]],
            "episode": list(known),
        }[strategy]
        goals = [observation(env, episode, s + 1)[3] for s in allowed]
        assert before[4] == after[4]
        assert before[4] in goals
        assert told == pytest.approx(-abs(after[3] - before[4]))


def test_all_allowed_goals_are_met_and_the_share_is_kept() -> None:
    replay, random = filled([[5]], 21, 30), np.random.default_rng(0)
    drawn = make("future", share=0.75).relabel(replay, replay.draw(4_000, random), random)
    goals = drawn.observations[:, 4]
    assert ((goals != -1).float().mean() - 0.75).abs() < 0.03
    kept = torch.from_numpy(drawn.rewards[0])[goals == -1]
    assert (kept == -9.0).all()
    first = (drawn.observations[:, 1] == 2) & (drawn.observations[:, 2] == 1) & (goals != -1)
    assert set(goals[first].tolist()) == {22.5, 23.5, 24.5, 25.5}


def test_where_goals_stand_in_an_arms_observation() -> None:
    packing = goal_packing(PandaConfig("Push").build())
    assert packing.slices["achieved_goal"] == slice(0, 3)
    assert packing.slices["desired_goal"] == slice(3, 6)


def test_an_environment_without_goals_is_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError, match=r"needs an environment with goals.*--algo.hindsight none"
    ) as refusal:
        goal_packing(ClassicConfig("Pendulum-v1").build())
    assert "\n" not in str(refusal.value)


class Goals(gymnasium.Env):
    """Observations with goals of any space."""

    action_space = Discrete(2)

    def __init__(self, goal: Space, compute_reward: Callable[[Any, Any, Any], Any]) -> None:
        self.observation_space = Dict(
            observation=Box(-1, 1, (2, 2), np.float64), achieved_goal=goal, desired_goal=goal
        )
        self.compute_reward = compute_reward

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        return self.observation_space.sample(), {}


def many(achieved: Any, desired: Any, info: Any) -> Any:
    return -(np.abs(achieved - desired).sum(-1) > 0.5).astype(np.float32)


def single(achieved: Any, desired: Any, info: Any) -> float:
    return -float(np.linalg.norm(achieved - desired) > 0.5)


def numbered(achieved: Any, desired: Any, info: Any) -> Any:
    assert np.asarray(achieved).dtype.kind == "i"
    return np.float32(achieved == desired) - 1


def square(achieved: Any, desired: Any, info: Any) -> Any:
    assert achieved.shape[-2:] == (2, 2)
    return -np.abs(achieved - desired).sum((-1, -2))


@pytest.mark.parametrize(
    ("goal", "compute_reward", "goals", "rewards"),
    [
        (Box(-9, 9, (2,), np.float32), many, [[[1, 2], [1, 2]], [[1, 2], [1, 5]]], [0, -1]),
        (Box(-9, 9, (2,), np.float64), single, [[[1, 2], [1, 2]], [[1, 2], [1, 5]]], [0, -1]),
        (MultiBinary(2), many, [[[1, 0], [1, 0]], [[1, 0], [1, 1]]], [0, -1]),
        (Discrete(3, start=1), numbered, [[[0, 0, 1], [0, 1, 0]], [[0, 0, 1], [0, 0, 1]]], [0, -1]),
        (Box(-9, 9, (2, 2), np.float32), square, [[[1, 2, 3, 4], [0, 0, 0, 0]], [[1, 2, 3, 4], [0, 1, 0, 0]]], [0, -1]),
    ],
    ids=["many", "single", "bits", "numbered", "square"],
)  # fmt: skip
def test_any_environment_with_goals_says_what_other_goals_would_have_brought(
    goal: Space, compute_reward: Any, goals: Any, rewards: list[float]
) -> None:
    """Goals as agents see them, of an environment that is made for many goals or for a single
    one."""
    env = standard(Goals(goal, compute_reward))
    achieved, desired = np.array(goals, np.float32)
    assert goal_packing(env).dtype in (np.float32, np.float64)
    assert goal_rewards(env)(achieved, desired).tolist() == rewards
    assert goal_rewards(env)(achieved[:1], desired[:1]).tolist() == rewards[:1]
