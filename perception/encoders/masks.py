"""Masks beside the frames that they are of, as an agent reads both."""

import torch
from torch import Tensor, nn

from perception.encoders.cnn import Bytes, NatureCNN
from perception.encoders.frozen import Frozen


class MasksEncoder(nn.Module):
    """Images (B, C, H, W) uint8 -> features (B, output_dim), by a `reader` of C channels and one
    for each mask."""

    def __init__(self, masks: nn.Module, reader: NatureCNN) -> None:
        super().__init__()
        self.input_layer = WithMasks(masks)
        self.torso = reader.torso
        self.output_dim = reader.output_dim

    def forward(self, images: Tensor) -> Tensor:
        return self.torso(self.input_layer(images))


class WithMasks(nn.Module):
    """Frames (B, C, H, W) uint8 -> the same with the newest one's masks, a channel for each class
    but the background, 0 to 255; `masks` makes uint8 (M, classes, H, W) of frames (M, 1, H, W)."""

    def __init__(self, masks: nn.Module) -> None:
        super().__init__()
        self.masks = Frozen(masks, 1)
        self.bytes = Bytes()

    def forward(self, images: Tensor) -> Tensor:
        frames = self.bytes(images)
        masks = self.masks(images)[:, 0].to(frames.dtype)
        return torch.cat([frames, masks], 1).contiguous(memory_format=torch.channels_last)
