"""A patient's record as a set of readings that attend to each other (FT-Transformer; Gorishniy et
al. 2021)."""

import torch
from torch import Tensor, nn

from perception.settings.encoders import RecordEncoderConfig


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
            config.width,
            config.heads,
            2 * config.width,
            dropout=0.0,
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, config.layers, nn.LayerNorm(config.width), enable_nested_tensor=False
        )

    def forward(self, readings: Tensor) -> Tensor:
        tokens = readings.float()[..., None] * self.scale + self.shift
        tokens = torch.cat([self.summary.expand(len(tokens), -1, -1), tokens], 1)
        return self.layers(tokens)[:, 0]
