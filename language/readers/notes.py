"""An encoder of notes: observations that are text alone, such as what a nurse wrote of a
patient."""

import torch
from torch import Tensor, nn

from language.settings.encoders import NoteEncoderConfig


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
        """Text in UTF-8 (B, L) uint8 -> features (B, features)."""
        return torch.relu(self.dense(self.reader(notes)[2]))
