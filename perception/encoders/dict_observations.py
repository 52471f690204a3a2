"""Observations of several parts: each is read by the encoder that suits it, and the features stand
side by side."""

import torch
from torch import Tensor, nn


class DictEncoder(nn.Module):
    """Parts by name, each (B, ...) -> features (B, output_dim)."""

    capturable = True

    def __init__(self, encoders: dict[str, nn.Module]) -> None:
        super().__init__()
        self.input_layer = nn.Identity()
        self.torso = SideBySide(encoders)
        self.output_dim = sum(int(encoder.output_dim) for encoder in encoders.values())  # pyright: ignore

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return self.torso(self.input_layer(observations))


class SideBySide(nn.Module):
    """The features of each part in one row."""

    def __init__(self, encoders: dict[str, nn.Module]) -> None:
        super().__init__()
        self.names = list(encoders)
        # A ModuleDict takes neither names with a dot nor those of its methods, such as `values`.
        self.encoders = nn.ModuleList(encoders.values())

    def forward(self, parts: dict[str, Tensor]) -> Tensor:
        read = zip(self.names, self.encoders, strict=True)
        return torch.cat([encoder(parts[name]).float() for name, encoder in read], 1)
