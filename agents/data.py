"""What is learnt from, as columns: experience of environments, in rows of one env step each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Columns = dict[str, "torch.Tensor"]
"""Named columns of the same rows (B, ...)."""


@dataclass(frozen=True)
class Experience:
    """What N environments did in T steps, as columns; row t, n is one env step.

    A step's `rewards` are the environment's own, unclipped. `terminated` is what the learner
    should believe: it includes lost lives where the environment says so.
    """

    observations: NDArray  # (T, N, *observation), the observation space's dtype
    # (T, N) int64, or (T, N, action): float32 in the network's units; the environment's in a log
    actions: NDArray
    rewards: NDArray[np.float32]  # (T, N)
    terminated: NDArray[np.bool_]  # (T, N)
    truncated: NDArray[np.bool_]  # (T, N)
    first: NDArray[
        np.bool_
    ]  # (T, N), observations that do not follow from the row before: an episode's first

    @property
    def num_envs(self) -> int:
        return self.rewards.shape[1]

    def env_steps(self) -> int:
        """The number of rows, T * N."""
        return self.rewards.size

    def repeated(self) -> NDArray[np.bool_]:
        """Whether the same observation came before in the same episode, as far as these rows reach
        back (T, N)."""
        episodes = np.cumsum(self.first, 0)
        keys = [np.ascontiguousarray(self.observations).reshape(*episodes.shape, -1).view(np.uint8)]
        # An observation is compared with those of its own episode and environment alone.
        for number in (episodes, np.broadcast_to(np.arange(self.num_envs), episodes.shape)):
            keys.append(np.ascontiguousarray(number[..., None].astype(np.int64)).view(np.uint8))
        rows = np.concatenate(keys, -1).reshape(episodes.size, -1)
        _, earliest = np.unique(rows.view(f"V{rows.shape[1]}")[:, 0], return_index=True)
        repeated = np.ones(episodes.size, np.bool_)
        repeated[earliest] = False
        return repeated.reshape(episodes.shape)

    def set_apart(self) -> Self:
        """The same, with nothing that its first row follows from."""
        first = self.first.copy()
        first[0] = True
        return replace(self, first=first)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Several runners' experience as one, side by side along N; one alone is not copied."""
        if len(parts) == 1:
            return parts[0]
        columns = (tuple(getattr(part, f.name) for part in parts) for f in fields(cls))
        return cls(*(np.concatenate(column, axis=1) for column in columns))

    def split(self, shards: int) -> list[Self]:
        """Equal shards along N, one a learner; environments that do not divide are left out."""
        width = self.num_envs // shards
        return [
            type(self)(
                *(getattr(self, f.name)[:, i * width : (i + 1) * width] for f in fields(self))
            )
            for i in range(shards)
        ]


@dataclass(frozen=True)
class Rollout(Experience):
    """Experience with what the policy that acted thought of it, to learn from once.

    Truncated steps are bootstrapped from the observation that the episode really ended in, through
    `next_values`.
    """

    log_probs: NDArray[np.float32]  # (T, N), of the actions under the policy that took them
    values: NDArray[np.float32]  # (T, N), of the observations
    next_values: NDArray[np.float32]  # (T, N), of the observations that followed
    memories: NDArray[
        np.float32
    ]  # (T, N, S), what was remembered before each step; S is 0 without a memory


@dataclass(frozen=True)
class Demonstrated(Experience):
    """What somebody else did, as windows of T steps side by side, to learn from as often as one
    likes."""

    returns: NDArray[np.float32]  # (T, N), discounted, from each step to its episode's end


@dataclass(frozen=True)
class Logged(Experience):
    """What somebody else did, as steps in an order of chance with what followed each, to learn from
    as often as one likes."""

    next_observations: NDArray  # (T, N, *observation), also where the episode was over


@dataclass(frozen=True)
class Steps:
    """B env steps on the learner's device, for a reward model."""

    observations: (
        Any  # a tensor (B, *observation) of the observation space's dtype, or such parts by name
    )
    actions: torch.Tensor  # (B,) int64, or (B, action) in the environment's units and dtype
    repeated: (
        torch.Tensor
    )  # (B,) bool, that the episode had this observation before, where that is known

    def rows(self, chosen: torch.Tensor) -> Steps:
        """Some of the steps: those with the numbers `chosen` (R,), in that order."""
        parts = self.observations
        own = {k: v[chosen] for k, v in parts.items()} if isinstance(parts, dict) else parts[chosen]
        return Steps(own, self.actions[chosen], self.repeated[chosen])
