"""Observations of several parts: each is read by the encoder that suits it, and the features stand side by side."""

from dataclasses import dataclass, field

import gymnasium
import torch
from gymnasium.spaces import Dict
from torch import Tensor, nn

from perception.cnn import NatureCNNConfig
from perception.mlp import MLPConfig


@dataclass(frozen=True)
class PartsConfig:
    """A convolutional network for each image among an observation's parts, fully connected layers for all others."""

    images: NatureCNNConfig = field(default_factory=lambda: NatureCNNConfig(features=128))
    """Reads each image, uint8 (channels, height, width)."""
    vectors: MLPConfig = field(default_factory=lambda: MLPConfig(hidden_sizes=()))
    """Reads each vector; without hidden layers they are taken as they are."""

    def build(self, observation_space: gymnasium.Space) -> "Parts":
        if not isinstance(observation_space, Dict):
            raise ValueError(f"This encoder reads observations of several parts, not {observation_space}.")
        encoders: dict[str, nn.Module] = {}
        for name, part in observation_space.spaces.items():
            reader = self.images if len(part.shape or ()) == 3 else self.vectors
            encoders[name] = reader.build(part)
        return Parts(encoders)


class Parts(nn.Module):
    """Parts by name, each (B, ...) -> features (B, output_dim)."""

    capturable = True

    def __init__(self, encoders: dict[str, nn.Module]) -> None:
        super().__init__()
        self.input_layer = nn.Identity()
        self.torso = SideBySide(encoders)
        self.output_dim = sum(int(encoder.output_dim) for encoder in encoders.values())  # pyright: ignore

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return self.torso(self.input_layer(observations))


class SideBySide(nn.ModuleDict):
    """What each encoder makes of its part, in one row."""

    def forward(self, parts: dict[str, Tensor]) -> Tensor:
        return torch.cat([encoder(parts[name]).float() for name, encoder in self.items()], 1)
