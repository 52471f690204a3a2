"""Stretches of steps from a replay, for networks that remember (Kapturowski et al. 2019, R2D2)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agents.replay.buffer import Replay


@dataclass(frozen=True)
class Sequences:
    """B stretches of L steps one after the other, and of the n steps that followed each. They may
    go over the ends of episodes."""

    rows: NDArray[np.int64]  # (B,), where in the ring they start
    observations: torch.Tensor  # (L + n, B, *observation)
    first: NDArray[np.bool_]  # (L + n, B), that begin an episode
    memories: NDArray[np.float32]  # (B, S), what was remembered before the first step
    actions: NDArray  # (L, B, ...)
    rewards: NDArray[np.float32]  # (n, L, B), the step's own and those after it, 0 after an end
    discounts: NDArray[np.float32]  # (L, B), of the value that follows them; 0 after termination
    after: NDArray[np.int64]  # (L, B), which of the L + n observations that value is of
    known: NDArray[np.bool_]  # (L, B), what followed is among the L + n observations
    discount: float  # of a step, by which the rewards are added up


def draw_sequences(
    replay: Replay,
    size: int,
    length: int,
    n_step: int,
    discount: float,
    random: np.random.Generator,
) -> Sequences:
    """So many stretches of this length, each step as likely to begin one.

    The observation that a truncated episode ended in has no step of its own, so that its value is
    not known here: nothing is learnt of the step before it. The same holds for what a damaged file
    has lost."""
    total = length + n_step
    starts = random.integers(first_whole(replay), replay.added - total + 1, size=size)
    environments = random.integers(replay.num_envs, size=size)
    steps = starts + np.arange(total)[:, None]
    rows = (steps % replay.length) * replay.num_envs + environments
    own = rows[:length]
    ends, rewards, discounts = replay.n_step_transitions(own.ravel(), n_step, discount)
    ends = ends.reshape(own.shape)
    discounts = discounts.reshape(own.shape)
    following_is_here = ~replay.cut[ends] | replay.terminated[ends]
    return Sequences(
        rows=rows[0],
        observations=replay.observations(rows.ravel()).unflatten(0, rows.shape),
        first=replay.begun[rows] == steps,
        memories=replay.memories[rows[0]],
        actions=replay.actions[own],
        rewards=rewards.reshape(n_step, *own.shape),
        discounts=discounts,
        after=(replay.steps_of(ends) - starts + 1),
        known=replay.whole[rows].all(0) & following_is_here,
        discount=discount,
    )


def can_draw(replay: Replay, length: int, n_step: int) -> bool:
    """Whether the replay holds a stretch of this length, and what follows it."""
    return replay.added - first_whole(replay) >= length + n_step


def first_whole(replay: Replay) -> int:
    """The first step whose stack of frames does not reach back beyond what the replay holds."""
    return replay.oldest + replay.stack - 1
