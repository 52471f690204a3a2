"""Multilayer perceptron (Rosenblatt 1958; Rumelhart et al. 1986)."""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from perception.settings.encoders import MLPConfig

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
}


class MLP(nn.Module):
    """Observations (B, ...), or such parts by name -> features (B, output_dim)."""

    capturable = True

    def __init__(self, config: MLPConfig, input_dim: int) -> None:
        super().__init__()
        self.input_layer = Flatten()
        widths = (input_dim, *config.hidden_sizes)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [orthogonal(nn.Linear(before, after)), ACTIVATIONS[config.activation]()]
        self.torso = nn.Sequential(*layers)
        self.output_dim = widths[-1]

    def forward(self, observations: Tensor | dict[str, Tensor]) -> Tensor:
        return self.torso(self.input_layer(observations))


class Flatten(nn.Module):
    """Observations (B, ...) of any dtype, or such parts by name -> (B, features) float32."""

    def forward(self, observations: Tensor | dict[str, Tensor]) -> Tensor:
        if isinstance(observations, dict):
            return torch.cat([part.flatten(1).float() for part in observations.values()], 1)
        return observations.flatten(1).float()


def orthogonal(layer: Layer, gain: float = 2**0.5) -> Layer:
    """Orthogonal weights, zero bias (Saxe et al. 2014; Huang et al. 2022, PPO detail 2)."""
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
