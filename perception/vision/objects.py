"""What a detector finds, as a list that an agent reads."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.encoders.mlp import orthogonal
from perception.settings.module_encoders import ListEncoderConfig
from perception.vision.detection import Found

POOLED_OBJECTS = 8.0  # what sums over objects are divided by, so that features are about 1
NEARNESS = 4.0  # shares of the image are small numbers where objects are near


class ListEncoder(nn.Module):
    """What `input_layer` makes a list of, or a list (B, objects, 5 + classes) -> features (B,
    output_dim)."""

    def __init__(self, config: ListEncoderConfig, input_layer: nn.Module, numbers: int) -> None:
        super().__init__()
        self.input_layer = input_layer
        self.torso = ListReader(config, numbers)
        self.output_dim = config.features

    def forward(self, observations: Tensor) -> Tensor:
        return self.torso(self.input_layer(observations))


class ListReader(nn.Module):
    """Objects (B, frames * objects, 5 + classes), zeros where there is none -> features (B, F)."""

    def __init__(self, config: ListEncoderConfig, numbers: int) -> None:
        super().__init__()
        self.frames = config.frames
        self.relative_to = config.relative_to
        self.each = layers(numbers + (2 if config.relative_to else 0), config.widths)
        places = 2 if config.relative_to else 0
        self.all = layers(
            2 * config.frames * config.widths[-1] + places, (config.features, config.features)
        )

    def forward(self, objects: Tensor) -> Tensor:
        with torch.autocast(
            objects.device.type, enabled=False
        ):  # bfloat16 has too few digits for places
            rows = objects.float().unflatten(1, (self.frames, -1))
            there = (rows[..., :1] > 0).float()
            own = self.place(rows[:, -1]) if self.relative_to else rows.new_zeros(len(rows), 0)
            if self.relative_to:
                rows = torch.cat([rows, NEARNESS * (rows[..., 1:3] - own[:, None, None])], -1)
            # After the ReLU nothing is negative: zeros change neither maximum nor sum.
            read = self.each(rows) * there
            pooled = torch.cat([read.amax(2), read.sum(2) / POOLED_OBJECTS], -1)
            return self.all(torch.cat([pooled.flatten(1), own], 1))

    def place(self, newest: Tensor) -> Tensor:
        """Center (B, 2) of the surest object of the class that others lie relative to; zeros where
        there is none."""
        scores, rows = (newest[..., 0] * newest[..., 4 + self.relative_to]).max(1)
        centers = newest[torch.arange(len(newest), device=newest.device), rows, 1:3]
        return centers * (scores > 0).float()[:, None]


def layers(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these widths, each followed by a ReLU."""
    parts: list[nn.Module] = []
    for width in widths:
        parts += [orthogonal(nn.Linear(inputs, width)), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*parts)


class ObjectList(nn.Module):
    """Frames (M, 1, H, W) uint8 -> (M, objects, 5 + classes): of each object its score, its center
    and size in shares of the image, and its class; zeros where there is none."""

    scale: Tensor

    def __init__(
        self, detector: Any, objects: int, surer_than: float, height: int, width: int
    ) -> None:
        super().__init__()
        self.detector = detector
        self.objects = objects
        self.surer_than = surer_than
        self.classes: int = detector.classes
        self.register_buffer("scale", 1.0 / torch.tensor([width, height] * 2), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        with torch.autocast(frames.device.type, enabled=False):
            found = self.detector.found(frames)
        table = torch.zeros(len(found), self.objects, 5 + self.classes)
        for row, own in zip(table, found, strict=True):
            self.write(row, own)
        return table.to(frames.device)

    def write(self, row: Tensor, found: Found) -> None:
        """The surest objects into a row (objects, 5 + classes)."""
        count = min(self.objects, int((found.scores > self.surer_than).sum()))
        boxes = found.boxes[:count] * self.scale.cpu()
        row[:count, 0] = found.scores[:count]
        row[:count, 1:3] = (boxes[:, :2] + boxes[:, 2:]) / 2
        row[:count, 3:5] = boxes[:, 2:] - boxes[:, :2]
        row[:count, 5:] = F.one_hot(found.classes[:count] - 1, self.classes)
