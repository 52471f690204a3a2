"""Hindsight experience replay (Andrychowicz et al. 2017): what was reached is learnt from as if it
was the goal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Dict
from numpy.typing import NDArray

from agents.networks.packing import Packing
from agents.replay.buffer import Replay, Transitions

Strategy = Literal["future", "final", "episode"]
GOALS = ("achieved_goal", "desired_goal")


Rewards = Callable[[NDArray, NDArray], NDArray]
"""Achieved goals (B, *goal) and desired goals (B, *goal) -> rewards (B,)."""


@dataclass(frozen=True)
class Hindsight:
    """Gives a share of drawn transitions another goal: one that their own episode reached."""

    strategy: Strategy
    """Where in the episode: after the transition, at its end, or anywhere."""
    share: float
    """How many of the drawn transitions."""
    packing: Packing
    """Of observations, whose parts are the goals and others."""
    rewards: Rewards
    """What achieving the one would have been worth if the other had been the goal."""

    def relabel(
        self, replay: Replay, drawn: Transitions, random: np.random.Generator
    ) -> Transitions:
        """The same one-step transitions, a share of them with another goal and the reward that it
        would have brought.

        `drawn` is this caller's alone: its observations are written to."""
        achieved, desired = (self.packing.slices[name] for name in GOALS)
        chosen = np.flatnonzero(random.random(len(drawn.rows)) < self.share)
        goals = replay.following(self.goal_rows(replay, drawn.rows[chosen], random))[:, achieved]
        places = torch.from_numpy(chosen)
        drawn.observations[places, desired] = goals
        drawn.next_observations[places, desired] = goals
        reached = self.packing.unpack_part(drawn.next_observations[places, achieved], GOALS[0])
        wanted = self.packing.unpack_part(goals, GOALS[1])
        rewards = drawn.rewards.copy()
        rewards[0, chosen] = self.rewards(reached.numpy(), wanted.numpy())
        return replace(drawn, rewards=rewards)

    def goal_rows(
        self, replay: Replay, rows: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Rows of the steps after which the new goals were achieved, one for each of these rows."""
        steps = replay.steps_of(rows)
        # While an episode goes on, what follows its newest step is not known.
        last = np.where(replay.last[rows] < 0, replay.added - 2, replay.last[rows])
        first = {
            "future": steps,
            "final": last,
            "episode": np.maximum(replay.begun[rows], replay.oldest),
        }[self.strategy]
        goal_steps = random.integers(first, last + 1)
        return (goal_steps % replay.length) * replay.num_envs + rows % replay.num_envs


def has_goals(environment: gymnasium.Env) -> bool:
    """Whether observations have goals, and the environment says what reaching another one would
    have brought."""
    space = environment.observation_space
    parts = isinstance(space, Dict) and set(GOALS) <= set(space.spaces)
    return parts and environment.has_wrapper_attr("compute_reward")


def goal_packing(environment: gymnasium.Env) -> Packing:
    """Where the goals stand in an environment's observations.

    Raises ValueError unless it has goals, both of one shape and dtype."""
    if not has_goals(environment):
        raise ValueError(
            "Hindsight needs an environment with goals: observations with achieved_goal and "
            "desired_goal, and "
            "compute_reward; use --algo.hindsight none."
        )
    packing = Packing(environment.observation_space)
    achieved, desired = (packing.parts[name] for name in GOALS)
    if (achieved.shape, achieved.dtype) != (desired.shape, desired.dtype):
        raise ValueError(
            f"Hindsight needs achieved and desired goals of one shape and dtype, not "
            f"{achieved.shape} "
            f"{achieved.dtype} and {desired.shape} {desired.dtype}; use --algo.hindsight none."
        )
    return packing


def hindsight(environment: gymnasium.Env, strategy: Strategy, share: float) -> Hindsight:
    """Hindsight for this environment; raises ValueError where it has no goals."""
    return Hindsight(strategy, share, goal_packing(environment), goal_rewards(environment))


def goal_rewards(environment: gymnasium.Env) -> Rewards:
    """The environment's `compute_reward` for many goals, as gymnasium-robotics has it; asked about
    one goal after the other where it does not answer so for two."""
    compute: Callable[[NDArray, NDArray, dict], Any] = environment.get_wrapper_attr(
        "compute_reward"
    )
    space: Any = environment.observation_space

    def one_by_one(achieved: NDArray, desired: NDArray) -> NDArray:
        pairs = zip(achieved, desired, strict=True)
        return np.array(
            [float(np.asarray(compute(*pair, {})).item()) for pair in pairs], np.float32
        )

    def together(achieved: NDArray, desired: NDArray) -> NDArray:
        return np.asarray(compute(achieved, desired, {}), np.float32)

    achieved, desired = (np.stack([space[name].sample() for _ in range(2)]) for name in GOALS)
    achieved[1] = desired[1]  # so that one of them is reached
    try:
        singly = one_by_one(achieved, desired)
    except Exception:  # it is made for many goals
        return together
    try:
        both = together(achieved, desired)
    except Exception:  # it is made for a single goal
        return one_by_one
    return (
        together if both.shape == (2,) and np.allclose(both, singly, equal_nan=True) else one_by_one
    )
