"""Observations of several parts: each is read by the encoder that suits it, and the features stand side by side."""

import torch
from torch import Tensor, nn


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
