"""The units of continuous actions: a policy acts around 0, its environment takes numbers of a
Box."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor, nn

SAVED_AS = "_extra_state"  # torch's name for a module's state that is not a tensor of its own


class ActionScaling(nn.Module):
    """The affine map from a policy's actions to a Box, for each dimension: `center + half_range *
    action`.

    A dimension with two bounds maps [-1, 1] to [low, high]. With one bound, the bound is at -1 or 1
    and a policy's unit is the environment's; with none, both have the same numbers. A bound that is
    as large as its dtype can hold, or as float32 can, is none. Whatever the policy says, what is
    sent lies in the Box.

    The map is part of a network's state, as its weights are. `earlier` is the map of states without
    one, which were saved before they had it: actors that end in tanh were scaled to the Box,
    Gaussian policies were clipped to it.
    """

    def __init__(self, space: Box, earlier: str = "scaled") -> None:
        """Raises ValueError unless `earlier` is `scaled` or `clipped`."""
        super().__init__()
        if earlier not in ("scaled", "clipped"):
            raise ValueError(f"earlier must be scaled or clipped, not {earlier!r}.")
        self.earlier = earlier
        self.dtype = np.dtype(space.dtype)
        precise = np.result_type(self.dtype, np.float64)
        largest = largest_number(self.dtype).astype(precise)
        self.low = np.maximum(space.low.astype(precise), -largest)
        self.high = np.minimum(space.high.astype(precise), largest)
        self.center, self.half_range = center_and_half_range(space)

    def to_environment(self, actions: NDArray) -> NDArray:
        """A policy's actions (B, A) in the environment's units and dtype, within its Box."""
        scaled = self.center + self.half_range * actions.astype(self.low.dtype)
        return np.clip(scaled, self.low, self.high).astype(self.dtype)

    def to_policy(self, actions: NDArray) -> NDArray[np.float32]:
        """Actions (..., A) of the environment in the policy's units; 0 where the Box has a single
        number."""
        moves = self.half_range > 0
        away = actions.astype(self.low.dtype) - self.center
        return np.where(moves, away / np.where(moves, self.half_range, 1.0), 0.0).astype(np.float32)

    def get_extra_state(self) -> Tensor:
        """(2, A) float64: the centers, then the half ranges."""
        return torch.from_numpy(np.stack([self.center, self.half_range]))

    def set_extra_state(self, state: Any) -> None:
        """Raises ValueError for a state of another Box."""
        center_and_half = np.array(torch.as_tensor(state).cpu(), np.float64)
        if center_and_half.shape != (2, len(self.low)):
            raise ValueError(
                f"A scaling of shape {center_and_half.shape} is not one of {len(self.low)} actions."
            )
        self.center, self.half_range = center_and_half

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        if prefix + SAVED_AS not in state_dict:
            clipped = torch.stack([torch.zeros(len(self.low)), torch.ones(len(self.low))])
            state_dict[prefix + SAVED_AS] = (
                clipped if self.earlier == "clipped" else self.get_extra_state()
            )
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def center_and_half_range(space: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The numbers of a Box (A,) that a policy's 0 means, and how far from them its 1 is."""
    has_low, has_high = bounds_that_count(space)
    low = np.where(has_low, space.low, 0.0).astype(np.float64)
    high = np.where(has_high, space.high, 0.0).astype(np.float64)
    has_both = has_low & has_high
    center = np.select([has_both, has_low, has_high], [low / 2 + high / 2, low + 1, high - 1], 0.0)
    half_range = np.where(has_both, high / 2 - low / 2, 1.0)
    return center, half_range


def bounds_that_count(space: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which dimensions of a Box (A,) have a low bound, and which a high one."""
    no_bound = min(float(largest_number(space.dtype)), float(largest_number(np.float32)))
    return space.low > -no_bound, space.high < no_bound


def largest_number(dtype: Any) -> np.floating:
    """The largest finite number of a floating-point dtype."""
    return np.finfo(dtype).max
