"""What a detector finds, as a list that an agent reads."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.cnn import image_shape
from perception.detection import Found
from perception.mlp import orthogonal


@dataclass(frozen=True)
class ObjectsEncoderConfig:
    """The objects of the newest frames, by a detector that was trained before and stays as it is, as a list."""

    weights: str = ""
    """The folder of scripts/train_module.py, trained with --task.size as large as the agent's frames."""
    objects: int = 48
    """How many of the surest objects the agent gets to know of."""
    frames: int = 2
    """In how many of the newest frames: two show where things go."""
    hidden_sizes: tuple[int, ...] = (256, 256)
    """Widths of the layers that read the list."""

    def detector(self) -> Any:
        """The trained module, with `classes` and `found(images)`."""
        raise NotImplementedError

    def build(self, observation_space: gymnasium.Space) -> "ObjectsEncoder":
        channels, height, width = image_shape(observation_space, smallest=36)
        if not 1 <= self.frames <= channels or self.objects < 1 or min(self.hidden_sizes, default=0) < 1:
            raise ValueError(f"frames must be 1 to {channels}, objects and hidden_sizes at least 1: {self}.")
        return ObjectsEncoder(self.hidden_sizes, ObjectList(self.detector(), self.objects, self.frames, height, width))


class ObjectsEncoder(nn.Module):
    """Images (B, C, H, W) uint8 -> features (B, output_dim)."""

    def __init__(self, hidden_sizes: tuple[int, ...], objects: "ObjectList") -> None:
        super().__init__()
        self.input_layer = objects
        layers: list[nn.Module] = []
        before = objects.numbers
        for width in hidden_sizes:
            layers += [orthogonal(nn.Linear(before, width)), nn.ReLU(inplace=True)]
            before = width
        self.torso, self.output_dim = nn.Sequential(*layers), before

    def forward(self, images: Tensor) -> Tensor:
        return self.torso(self.input_layer(images))


class ObjectList(nn.Module):
    """Frames (B, C, H, W) uint8 -> (B, frames * objects * (5 + classes)): of each object its score, its centre and size
    from 0 to 1, and its class, ordered by class and then place; zeros where there is none."""

    scale: Tensor

    def __init__(self, detector: Any, objects: int, frames: int, height: int, width: int) -> None:
        super().__init__()
        self.detector = detector.requires_grad_(False).eval()
        self.objects, self.frames = objects, frames
        self.classes: int = detector.classes
        self.register_buffer("scale", 1.0 / torch.tensor([width, height] * 2), persistent=False)
        self.numbers = frames * objects * (5 + self.classes)

    def train(self, mode: bool = True) -> Any:
        return super().train(False)  # its statistics stay as they were

    def forward(self, images: Tensor) -> Tensor:
        newest = images[:, -self.frames :].flatten(0, 1)[:, None]
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            found = self.detector.found(newest)
        table = torch.zeros(len(found), self.objects, 5 + self.classes)
        for row, own in zip(table, found, strict=True):
            self.write(row, own)
        return table.to(images.device).reshape(len(images), -1)

    def write(self, row: Tensor, found: Found) -> None:
        """The surest objects into a row (objects, 5 + classes)."""
        boxes, classes = found.boxes[: self.objects] * self.scale.cpu(), found.classes[: self.objects]
        centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        order = np.lexsort((centres[:, 0].numpy(), centres[:, 1].numpy().round(2), classes.numpy()))
        kinds = F.one_hot(classes - 1, self.classes).float()
        told = torch.cat([found.scores[: self.objects, None], centres, sizes, kinds], 1)
        row[: len(told)] = told[torch.from_numpy(order)]
