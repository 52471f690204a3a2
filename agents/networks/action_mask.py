"""Which actions are possible, read from the observation: those that are not get a logit, or a
value, that no other is below (Huang and Ontañón 2022)."""

import gymnasium
from torch import Tensor

from agents.networks.packing import Packing
from common.info import ACTION_MASK

IMPOSSIBLE = -1e8
"""The logit or the value of an action that is not possible; finite, so that 0 times it is 0."""


class ActionMask:
    """The mask in packed observations of a space; where the space has none, every action is
    possible."""

    def __init__(self, space: gymnasium.Space) -> None:
        self.packing = Packing(space)
        self.columns = self.packing.slices.get(ACTION_MASK)

    def possible(self, packed: Tensor) -> Tensor | None:
        """Packed observations (B, C) -> which actions are possible, bool (B, A); None where all
        always are. A mask without a single action, as some environments have at an episode's end,
        allows all."""
        if self.columns is None:
            return None
        mask = self.packing.unpack_part(packed[:, self.columns], ACTION_MASK) != 0
        return mask | ~mask.any(1, keepdim=True)

    def __call__(self, scores: Tensor, packed: Tensor) -> Tensor:
        """Logits or values (B, A), with IMPOSSIBLE for what is not possible."""
        possible = self.possible(packed)
        return scores if possible is None else scores.masked_fill(~possible, IMPOSSIBLE)

    def kept(self, normalized: Tensor, packed: Tensor) -> Tensor:
        """Normalized observations (B, C) with the mask as it was before."""
        if self.columns is not None:
            normalized[:, self.columns] = packed[:, self.columns].to(normalized.dtype)
        return normalized
