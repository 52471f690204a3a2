"""What a detector finds, as a list that an agent reads."""

from dataclasses import dataclass, field
from typing import Any

import gymnasium
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception.cnn import image_shape
from perception.detection import Found
from perception.frozen import Frozen
from perception.mlp import orthogonal

POOLED_OBJECTS = 8.0  # what sums over objects are divided by, so that features are about 1
NEARNESS = 4.0  # shares of the image are small numbers where objects are near


@dataclass(frozen=True)
class ListEncoderConfig:
    """Objects that come as a list: each read by itself, then all together (Zaheer et al. 2017, deep sets)."""

    frames: int = 2
    """How many frames' objects the list has, as many of each."""
    relative_to: int = 2
    """The class of which there is one object, to which the others are told how they lie, as the player; 0 for none."""
    widths: tuple[int, ...] = (64, 64)
    """Widths of the layers that read each object."""
    features: int = 256
    """Width of the two layers that read all of them."""

    def __post_init__(self) -> None:
        if min((self.frames, self.features, *self.widths)) < 1 or not self.widths or self.relative_to < 0:
            raise ValueError(f"frames, widths and features must be at least 1, relative_to not negative: {self}.")

    def build(self, observation_space: gymnasium.Space) -> "ListEncoder":
        shape = observation_space.shape or ()
        if len(shape) != 2 or shape[0] % self.frames or shape[1] - 5 < max(1, self.relative_to):
            raise ValueError(
                f"This encoder reads lists of the objects of {self.frames} frames, (objects, 5 + classes), not "
                f"{observation_space}; --encoder yolo finds objects in images."
            )
        return ListEncoder(self, nn.Identity(), shape[1])


class ListEncoder(nn.Module):
    """What `input_layer` makes a list of, or a list (B, objects, 5 + classes) -> features (B, output_dim)."""

    def __init__(self, config: ListEncoderConfig, input_layer: nn.Module, numbers: int) -> None:
        super().__init__()
        self.input_layer, self.torso, self.output_dim = input_layer, Reader(config, numbers), config.features

    def forward(self, observations: Tensor) -> Tensor:
        return self.torso(self.input_layer(observations))


class Reader(nn.Module):
    """Objects (B, frames * objects, 5 + classes), zeros where there is none -> features (B, F)."""

    def __init__(self, config: ListEncoderConfig, numbers: int) -> None:
        super().__init__()
        self.frames, self.relative_to = config.frames, config.relative_to
        self.each = layers(numbers + (2 if config.relative_to else 0), config.widths)
        places = 2 if config.relative_to else 0
        self.all = layers(2 * config.frames * config.widths[-1] + places, (config.features, config.features))

    def forward(self, objects: Tensor) -> Tensor:
        with torch.autocast(objects.device.type, enabled=False):  # bfloat16 has too few digits for places
            rows = objects.float().unflatten(1, (self.frames, -1))
            there = (rows[..., :1] > 0).float()
            own = self.place(rows[:, -1]) if self.relative_to else rows.new_zeros(len(rows), 0)
            if self.relative_to:
                rows = torch.cat([rows, NEARNESS * (rows[..., 1:3] - own[:, None, None])], -1)
            read = self.each(rows) * there
            pooled = torch.cat([read.amax(2), read.sum(2) / POOLED_OBJECTS], -1)
            return self.all(torch.cat([pooled.flatten(1), own], 1))

    def place(self, newest: Tensor) -> Tensor:
        """Centre (B, 2) of the surest object of the class that others lie relative to; zeros where there is none."""
        scores, rows = (newest[..., 0] * newest[..., 4 + self.relative_to]).max(1)
        centres = newest[torch.arange(len(newest), device=newest.device), rows, 1:3]
        return centres * (scores > 0).float()[:, None]


def layers(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    parts: list[nn.Module] = []
    for width in widths:
        parts += [orthogonal(nn.Linear(inputs, width)), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*parts)


@dataclass(frozen=True)
class ObjectsEncoderConfig:
    """The objects of the newest frames, by a detector that was trained before and stays as it is, as a list."""

    weights: str = ""
    """The folder of scripts/train_module.py, trained with --task.size as large as the agent's frames."""
    objects: int = 48
    """How many of the surest objects the agent gets to know of."""
    surer_than: float = 0.3
    """How sure the detector has to be of them, from 0 to 1."""
    reader: ListEncoderConfig = field(default_factory=ListEncoderConfig)
    """What reads the list, and in how many of the newest frames they are looked for: two show where things go."""

    def detector(self, height: int, width: int) -> Any:
        """The trained module, with `classes` and `found(images)`, for frames of this size."""
        raise NotImplementedError

    def build(self, observation_space: gymnasium.Space) -> ListEncoder:
        channels, height, width = image_shape(observation_space, smallest=36)
        if not self.reader.frames <= channels or self.objects < 1 or not 0 <= self.surer_than < 1:
            raise ValueError(
                f"reader.frames must be 1 to {channels}, objects at least 1, surer_than in [0, 1): {self}."
            )
        detector = self.detector(height, width)
        if self.reader.relative_to > detector.classes:
            raise ValueError(f"reader.relative_to must be one of the detector's {detector.classes} classes, or 0.")
        found = ObjectList(detector, self.objects, self.surer_than, height, width)
        frames = nn.Sequential(Frozen(found, self.reader.frames), nn.Flatten(1, 2))
        return ListEncoder(self.reader, frames, 5 + detector.classes)


class ObjectList(nn.Module):
    """Frames (M, 1, H, W) uint8 -> (M, objects, 5 + classes): of each object its score, its centre and size in
    shares of the image, and its class; zeros where there is none."""

    scale: Tensor

    def __init__(self, detector: Any, objects: int, surer_than: float, height: int, width: int) -> None:
        super().__init__()
        self.detector, self.objects, self.surer_than = detector, objects, surer_than
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
        row[:count, 1:3], row[:count, 3:5] = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        row[:count, 5:] = F.one_hot(found.classes[:count] - 1, self.classes)
