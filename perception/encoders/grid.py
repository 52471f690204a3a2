"""Reads grids of symbols, as MiniGrid shows them."""

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from perception.encoders.cnn import FlattenPixels
from perception.encoders.mlp import orthogonal
from perception.settings.encoders import GridEncoderConfig
from perception.spaces import sizes_of


class GridEncoder(nn.Module):
    """Symbols (B, C, H, W) uint8 -> features (B, output_dim)."""

    capturable = True

    def __init__(self, config: GridEncoderConfig, space: Box) -> None:
        super().__init__()
        sizes = sizes_of(space)
        height, width = space.shape[1:]
        self.input_layer = Planes(sizes)
        layers: list[nn.Module] = []
        before = sum(sizes)
        for channels in config.channels:
            layers += [
                orthogonal(nn.Conv2d(before, channels, kernel_size=3, padding=1)),
                nn.ReLU(inplace=True),
            ]
            before = channels
        dense = orthogonal(nn.Linear(before * height * width, config.features))
        self.torso = nn.Sequential(*layers, FlattenPixels(), dense, nn.ReLU(inplace=True))
        self.output_dim = config.features
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, symbols: Tensor) -> Tensor:
        return self.torso(self.input_layer(symbols))


class Planes(nn.Module):
    """Symbols (B, C, H, W) -> (B, sum of each channel's symbols, H, W) float32: 1 where the symbol
    is, else 0."""

    symbols: Tensor
    channels: Tensor

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        symbols = torch.cat([torch.arange(size) for size in sizes])
        self.register_buffer("symbols", symbols.to(torch.uint8)[:, None, None], persistent=False)
        channels = torch.cat([torch.full((size,), channel) for channel, size in enumerate(sizes)])
        self.register_buffer("channels", channels, persistent=False)

    def forward(self, symbols: Tensor) -> Tensor:
        planes = torch.eq(symbols.index_select(1, self.channels), self.symbols)
        return planes.float().contiguous(memory_format=torch.channels_last)
