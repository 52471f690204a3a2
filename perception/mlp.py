"""Multilayer perceptron (Rosenblatt 1958; Rumelhart et al. 1986)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Dict
from torch import Tensor, nn

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


@dataclass(frozen=True)
class MLPConfig:
    """Fully connected layers, for observations that are vectors, or several of them by name."""

    hidden_sizes: tuple[int, ...] = (64, 64)
    """Width of each layer."""
    activation: Literal["tanh", "relu", "silu"] = "tanh"
    """Nonlinearity between layers; tanh for policies (Andrychowicz et al. 2021, choice C55)."""

    def build(self, observation_space: gymnasium.Space) -> "MLP":
        if min(self.hidden_sizes, default=1) < 1:
            raise ValueError(f"hidden_sizes must all be at least 1, not {self.hidden_sizes}.")
        parts = observation_space.spaces.values() if isinstance(observation_space, Dict) else [observation_space]
        sizes = [int(np.prod(part.shape or (0,))) if isinstance(part, Box) else 0 for part in parts]
        if not all(sizes):
            raise ValueError(f"An MLP reads vectors, not {observation_space}.")
        if isinstance(observation_space, Dict) and any(len(part.shape or ()) == 3 for part in parts):
            raise ValueError(
                "An MLP reads vectors, and one part of these observations is an image; use --encoder parts."
            )
        return MLP(self, sum(sizes))


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
