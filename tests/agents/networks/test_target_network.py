"""A target network follows in small steps or all at once, and learns nothing by itself."""

import torch
from torch import nn

from agents.networks.target_network import TargetNetwork


class Online(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("count", torch.zeros(()))


def test_it_moves_by_a_share_of_the_way() -> None:
    target = TargetNetwork(Online())
    nn.init.constant_(target.online.weight, 8.0)
    target.online.count.fill_(3)
    target.move(0.25)
    assert target.network.weight.tolist() == [2.0, 2.0]
    target.move(0.25)
    assert target.network.weight.tolist() == [3.5, 3.5]
    assert target.network.count.item() == 0


def test_it_takes_over_weights_and_buffers_at_once() -> None:
    target = TargetNetwork(Online())
    nn.init.constant_(target.online.weight, 8.0)
    target.online.count.fill_(3)
    target.copy_weights()
    assert target.network.weight.tolist() == [8.0, 8.0]
    assert target.network.count.item() == 3


def test_it_has_no_gradients() -> None:
    target = TargetNetwork(Online())
    assert not any(parameter.requires_grad for parameter in target.network.parameters())
    assert all(parameter.requires_grad for parameter in target.online.parameters())
