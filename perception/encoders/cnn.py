"""Convolutional encoders of images: the Nature CNN and the IMPALA ResNet."""

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from gymnasium.spaces import Box
from torch import Tensor, nn

from perception.encoders.mlp import orthogonal
from perception.settings.encoders import ImpalaResNetConfig, NatureCNNConfig


class NatureCNN(nn.Module):
    """Images (B, C, H, W) -> features (B, output_dim)."""

    capturable = True

    def __init__(
        self,
        config: NatureCNNConfig,
        channels: int,
        height: int,
        width: int,
        pixels: nn.Module | None = None,
    ) -> None:
        """`pixels` maps raw images to numbers from 0 to 255; bytes where it is None."""
        super().__init__()
        self.input_layer = pixels or Bytes()
        normalized = config.layer_norm
        convolutions = nn.Sequential(
            ByteConv2d(channels, 32, kernel_size=8, stride=4),
            *([nn.GroupNorm(1, 32)] if normalized else []),
            nn.ReLU(inplace=True),
            orthogonal(nn.Conv2d(32, 64, kernel_size=4, stride=2)),
            *([nn.GroupNorm(1, 64)] if normalized else []),
            nn.ReLU(inplace=True),
            orthogonal(nn.Conv2d(64, 64, kernel_size=3)),
            *([nn.GroupNorm(1, 64)] if normalized else []),
            nn.ReLU(inplace=True),
            FlattenPixels(),
        )
        flat = flat_size(convolutions, channels, height, width)
        dense: list[nn.Module] = []
        if config.features:
            dense = [
                orthogonal(nn.Linear(flat, config.features)),
                *([nn.LayerNorm(config.features)] if normalized else []),
                nn.ReLU(inplace=True),
            ]
        self.torso = nn.Sequential(*convolutions, *dense)
        self.output_dim = config.features or flat
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, images: Tensor) -> Tensor:
        return self.torso(self.input_layer(images))


class ImpalaResNet(nn.Module):
    """Images (B, C, H, W) -> features (B, output_dim)."""

    capturable = True

    def __init__(
        self, config: ImpalaResNetConfig, channels: int, height: int, width: int, pixels: nn.Module
    ) -> None:
        super().__init__()
        self.input_layer = pixels
        stages: list[nn.Module] = []
        first: type[nn.Conv2d] = ByteConv2d
        for width_before, width_after in zip(
            (channels, *config.channels), config.channels, strict=False
        ):
            stages += [
                first(width_before, width_after, kernel_size=3, padding=1),
                nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
                ResidualBlock(width_after, config.spectral_norm),
                ResidualBlock(width_after, config.spectral_norm),
            ]
            # Only the first convolution sees pixels from 0 to 255.
            first = nn.Conv2d
        pooling = [nn.AdaptiveMaxPool2d(config.pooled_size)] if config.pooled_size else []
        convolutions = nn.Sequential(*stages, nn.ReLU(), *pooling, FlattenPixels())
        flat = flat_size(convolutions, channels, height, width)
        dense = (
            [orthogonal(nn.Linear(flat, config.features)), nn.ReLU(inplace=True)]
            if config.features
            else []
        )
        self.torso = nn.Sequential(*convolutions, *dense)
        self.output_dim = config.features or flat
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, images: Tensor) -> Tensor:
        return self.torso(self.input_layer(images))


class ResidualBlock(nn.Module):
    def __init__(self, channels: int, spectral_norm: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.second = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        if spectral_norm:
            nn.utils.parametrizations.spectral_norm(self.first)
            nn.utils.parametrizations.spectral_norm(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> maps of the same shape."""
        return x + self.second(F.relu(self.first(F.relu(x))))


class Bytes(nn.Module):
    """Images uint8 -> the same numbers, 0 to 255, as channels-last floats.

    bfloat16 holds every byte exactly, so nothing is lost here; the division by 255 waits for
    `ByteConv2d`, where it costs one multiplication a weight instead of one a pixel.
    """

    def forward(self, images: Tensor) -> Tensor:
        low_precision = torch.is_autocast_enabled(images.device.type)
        dtype = torch.get_autocast_dtype(images.device.type) if low_precision else torch.float32
        # Cast first: both at once takes twice as long on a processor.
        return images.to(dtype).contiguous(memory_format=torch.channels_last)


class RealPixels(nn.Module):
    """Images of real numbers within bounds -> 0 to 255, as `Bytes` gives them."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low = low
        self.scale = 255.0 / (high - low)
        self.bytes = Bytes()

    def forward(self, images: Tensor) -> Tensor:
        return self.bytes((images.float() - self.low) * self.scale)


class FlattenPixels(nn.Module):
    """Images (B, C, H, W) -> (B, H * W * C), the order of channels-last memory, so that nothing is
    copied."""

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class ByteConv2d(nn.Conv2d):
    """A convolution of images whose pixels are 0 to 255, as if they were 0 to 1."""

    def __init__(
        self, channels: int, width: int, kernel_size: int, stride: int = 1, padding: int = 0
    ):
        super().__init__(channels, width, kernel_size, stride, padding)
        orthogonal(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight * (1 / 255), self.bias, self.stride, self.padding)


def pixels(space: gymnasium.Space) -> nn.Module:
    """The layer from a space's images to numbers from 0 to 255."""
    assert isinstance(space, Box)
    return (
        Bytes()
        if space.dtype == np.uint8
        else RealPixels(float(space.low.min()), float(space.high.max()))
    )


def flat_size(convolutions: nn.Module, channels: int, height: int, width: int) -> int:
    """How many numbers the convolutions, which end in a flattening layer, make of one image."""
    with torch.no_grad():
        return convolutions(torch.zeros(1, channels, height, width)).shape[1]
