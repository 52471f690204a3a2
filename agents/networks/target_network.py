"""A target network (Mnih et al. 2015): a slowly updated copy of a network, which gives targets."""

import copy
from typing import Any

import torch


class TargetNetwork:
    """A copy of `online` without gradients, which follows it in small steps or all at once."""

    def __init__(self, online: Any) -> None:
        self.online = online
        self.network = copy.deepcopy(online).requires_grad_(False)
        self.parameters = list(self.network.parameters())
        self.online_parameters = list(online.parameters())

    @torch.no_grad()
    def move(self, rate: float) -> None:
        """Moves every parameter by this share of the way to the online network's (Lillicrap et al.
        2016, tau)."""
        torch._foreach_lerp_(self.parameters, self.online_parameters, rate)  # pyright: ignore[reportPrivateImportUsage]

    def copy_weights(self) -> None:
        """Takes over the online network's weights and buffers."""
        self.network.load_state_dict(self.online.state_dict())

    def get_state(self) -> Any:
        return self.network.get_state()

    def set_state(self, state: Any) -> None:
        self.network.set_state(state)
