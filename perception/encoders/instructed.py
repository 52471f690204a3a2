"""Reads grids in the light of an instruction: what is seen is scaled and shifted by it (FiLM; Perez
et al. 2018), or asks it for words (cross-attention; Vaswani et al. 2017)."""

from typing import Any

import torch
from torch import Tensor, nn

from perception.encoders.cnn import FlattenPixels
from perception.encoders.grid import Planes
from perception.encoders.mlp import orthogonal
from perception.settings.encoders import InstructedEncoderConfig
from perception.spaces import sizes_of

HEADS = 4


class InstructedEncoder(nn.Module):
    """Observations with parts `image` (B, C, H, W) uint8 and `mission` (B, L) uint8 -> features (B,
    output_dim)."""

    def __init__(self, config: InstructedEncoderConfig, space: Any) -> None:
        super().__init__()
        self.input_layer = nn.Identity()
        self.torso = Instructed(config, sizes_of(space), *space.shape[1:])
        self.output_dim = config.features
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return self.torso(self.input_layer(observations))


class Instructed(nn.Module):
    def __init__(
        self, config: InstructedEncoderConfig, sizes: tuple[int, ...], height: int, width: int
    ) -> None:
        super().__init__()
        self.planes = Planes(sizes)
        self.reader = config.reader.build()
        channels = config.channels
        told = self.reader.output_dim
        self.first = orthogonal(nn.Conv2d(sum(sizes), channels, kernel_size=3, padding=1))
        self.second = orthogonal(nn.Conv2d(channels, channels, kernel_size=3, padding=1))
        self.lights = nn.ModuleList(LIGHTS[config.fusion](channels, told) for _ in range(2))
        self.flatten = FlattenPixels()
        self.dense = orthogonal(nn.Linear(channels * height * width + told, config.features))

    def forward(self, parts: dict[str, Tensor]) -> Tensor:
        """Parts `image` (B, C, H, W) uint8 and `mission` (B, L) uint8 -> features (B, features)."""
        instruction = self.reader(parts["mission"])
        seen = self.lights[0](self.first(self.planes(parts["image"])), *instruction)
        seen = self.lights[1](self.second(torch.relu(seen)), *instruction)
        return torch.relu(
            self.dense(torch.cat([self.flatten(torch.relu(seen)), instruction[2]], 1))
        )


class FiLM(nn.Module):
    """Maps (B, C, H, W) with an instruction's words (B, W, D), which of them are words (B, W), and
    its vector (B, D) -> maps whose channels are scaled and shifted by what the vector says."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.says = orthogonal(nn.Linear(width, 2 * channels), gain=1.0)

    def forward(self, maps: Tensor, words: Tensor, is_word: Tensor, sentence: Tensor) -> Tensor:
        scale, shift = self.says(sentence)[:, :, None, None].chunk(2, 1)
        return maps * (1 + scale) + shift


class CrossAttention(nn.Module):
    """As `FiLM`, but each square asks the words for what concerns it, and adds what they answer."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.asks = nn.MultiheadAttention(channels, HEADS, kdim=width, vdim=width, batch_first=True)

    def forward(self, maps: Tensor, words: Tensor, is_word: Tensor, sentence: Tensor) -> Tensor:
        squares = maps.flatten(2).transpose(1, 2)
        told, _ = self.asks(squares, words, words, key_padding_mask=~is_word, need_weights=False)
        return maps + told.transpose(1, 2).reshape(maps.shape)


LIGHTS = {"film": FiLM, "cross-attention": CrossAttention}
