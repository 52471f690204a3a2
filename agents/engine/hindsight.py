"""Hindsight experience replay (Andrychowicz et al. 2017): what was reached is learnt from as if it was the goal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Dict
from numpy.typing import NDArray

from agents.engine.packing import Packing
from agents.engine.replay import Replay, Transitions

Strategy = Literal["future", "final", "episode"]
GOALS = ("achieved_goal", "desired_goal")


@dataclass(frozen=True)
class Hindsight:
    """Gives a share of drawn transitions another goal: one that their own episode reached."""

    strategy: Strategy
    """Where in the episode: after the transition, at its end, or anywhere."""
    share: float
    """How many of the drawn transitions."""
    achieved: slice
    """Where in an observation what was achieved stands."""
    desired: slice
    """Where in an observation the goal stands."""
    compute_reward: Callable[[NDArray, NDArray, dict], NDArray]
    """(achieved goals (B, G), desired goals (B, G), {}) -> rewards (B,), as gymnasium-robotics has it."""

    def relabel(self, replay: Replay, drawn: Transitions, random: np.random.Generator) -> Transitions:
        """The same one-step transitions, a share of them with another goal and the reward that it would have brought.

        `drawn` is this caller's alone: its observations are written to."""
        chosen = np.flatnonzero(random.random(len(drawn.rows)) < self.share)
        goals = replay.following(self.goal_rows(replay, drawn.rows[chosen], random))[:, self.achieved]
        places = torch.from_numpy(chosen)
        drawn.observations[places, self.desired] = goals
        drawn.next_observations[places, self.desired] = goals
        achieved = drawn.next_observations[places, self.achieved].numpy()
        rewards = drawn.rewards.copy()
        rewards[0, chosen] = self.compute_reward(achieved, goals.numpy(), {})
        return replace(drawn, rewards=rewards)

    def goal_rows(self, replay: Replay, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """Rows of the steps after which the new goals were achieved, one for each of these rows."""
        steps = replay.steps_of(rows)
        last = np.where(replay.last[rows] < 0, replay.added - 2, replay.last[rows])
        first = {
            "future": steps,
            "final": last,
            "episode": np.maximum(replay.begun[rows], replay.oldest),
        }[self.strategy]
        goal_steps = random.integers(first, last + 1)
        return (goal_steps % replay.length) * replay.num_envs + rows % replay.num_envs


def goal_packing(environment: gymnasium.Env) -> Packing:
    """Where the goals stand in an environment's observations.

    Raises ValueError unless it has goals, and says what reaching another one would have brought."""
    space, reward = environment.observation_space, getattr(environment.unwrapped, "compute_reward", None)
    if not (isinstance(space, Dict) and set(GOALS) <= set(space.spaces) and callable(reward)):
        raise ValueError(
            "Hindsight needs an environment with goals: observations with achieved_goal and desired_goal, and "
            "compute_reward; use --algo.hindsight none."
        )
    packing = Packing(space)
    if packing.dtype == np.uint8:
        raise ValueError("Hindsight needs observations whose parts have one dtype, as numbers.")
    return packing


def hindsight(environment: gymnasium.Env, strategy: Strategy, share: float) -> Hindsight:
    """Hindsight for this environment; raises ValueError where it has no goals."""
    slices = goal_packing(environment).slices
    unwrapped: Any = environment.unwrapped
    achieved, desired = (slices[name] for name in GOALS)
    return Hindsight(strategy, share, achieved, desired, unwrapped.compute_reward)
