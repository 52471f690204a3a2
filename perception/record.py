"""A patient's record as a set of readings that attend to each other (FT-Transformer; Gorishniy et al. 2021)."""

from dataclasses import dataclass

import gymnasium
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn


@dataclass(frozen=True)
class RecordEncoderConfig:
    """Each reading becomes a vector of its own, and a Transformer relates them; for vectors of tens of readings."""

    width: int = 32
    """Numbers a reading becomes."""
    layers: int = 1
    """Of the Transformer."""
    heads: int = 4
    """Of its attention."""

    def build(self, observation_space: gymnasium.Space) -> "RecordEncoder":
        if min(self.width, self.layers, self.heads) < 1 or self.width % self.heads:
            raise ValueError(
                "width must be a multiple of heads, and layers at least 1, not "
                f"{self.width}, {self.heads} and {self.layers}."
            )
        if not isinstance(observation_space, Box) or len(observation_space.shape) != 1:
            raise ValueError(f"A record is a vector of readings, not {observation_space}.")
        return RecordEncoder(self, observation_space.shape[0])


class RecordEncoder(nn.Module):
    """Readings (B, O) -> features (B, output_dim)."""

    def __init__(self, config: RecordEncoderConfig, readings: int) -> None:
        super().__init__()
        self.input_layer = nn.Identity()
        self.torso = Record(config, readings)
        self.output_dim = config.width

    def forward(self, observations: Tensor) -> Tensor:
        return self.torso(self.input_layer(observations))


class Record(nn.Module):
    """Readings (B, O) -> what the summary token has gathered from them (B, width)."""

    def __init__(self, config: RecordEncoderConfig, readings: int) -> None:
        super().__init__()
        bound = config.width**-0.5  # as in the paper, section 3.3
        self.scale = nn.Parameter(torch.empty(readings, config.width).uniform_(-bound, bound))
        self.shift = nn.Parameter(torch.empty(readings, config.width).uniform_(-bound, bound))
        self.summary = nn.Parameter(torch.empty(1, 1, config.width).uniform_(-bound, bound))
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 2 * config.width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, config.layers, nn.LayerNorm(config.width), enable_nested_tensor=False
        )

    def forward(self, readings: Tensor) -> Tensor:
        tokens = readings.float()[..., None] * self.scale + self.shift
        tokens = torch.cat([self.summary.expand(len(tokens), -1, -1), tokens], 1)
        return self.layers(tokens)[:, 0]
