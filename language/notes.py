"""An encoder of notes: observations that are text alone, such as what a nurse wrote of a patient."""

from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from language.encoders import ReaderConfig


@dataclass(frozen=True)
class NoteEncoderConfig:
    """Reads notes word by word, then a dense layer."""

    reader: ReaderConfig = field(default_factory=ReaderConfig)
    """Reads the words."""
    features: int = 128
    """Width of the dense layer."""

    def build(self, observation_space: gymnasium.Space) -> "NoteEncoder":
        if self.features < 1:
            raise ValueError(f"features must be at least 1, not {self.features}.")
        text = isinstance(observation_space, Box) and observation_space.dtype == np.uint8
        if not text or len(observation_space.shape or ()) != 1:
            raise ValueError(f"This encoder reads text in UTF-8, as --env.notes gives it, not {observation_space}.")
        return NoteEncoder(self)


class NoteEncoder(nn.Module):
    """Text in UTF-8 (B, L) uint8 -> features (B, output_dim)."""

    def __init__(self, config: NoteEncoderConfig) -> None:
        super().__init__()
        self.input_layer = nn.Identity()
        self.torso = Noted(config)
        self.output_dim = config.features

    def forward(self, observations: Tensor) -> Tensor:
        return self.torso(self.input_layer(observations))


class Noted(nn.Module):
    def __init__(self, config: NoteEncoderConfig) -> None:
        super().__init__()
        self.reader = config.reader.build()
        self.dense = nn.Linear(self.reader.output_dim, config.features)

    def forward(self, notes: Tensor) -> Tensor:
        return torch.relu(self.dense(self.reader(notes)[2]))
