"""Detection in one look: each cell of a grid says whether an object's centre is in it, and which and how large it is
(YOLO; Redmon et al. 2016), on the first layers of a residual network (He et al. 2016)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import timm
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import batched_nms, generalized_box_iou_loss

from perception.cnn import image_shape
from perception.detection import Found, average_precisions, boxes_by_image, drawn
from perception.frames import Frames, load_frames, prepared, resized
from perception.mlp import orthogonal
from perception.palette import COLOURS
from perception.weights import trained

STRIDE = 4  # pixels a cell: a smaller object than that is seldom in one cell with another
TYPICAL_SIZE = 8.0  # pixels, of an object whose size the network says is e^0
LEAST_SCORE, MOST_OVERLAP, MOST_OBJECTS = 0.02, 0.5, 100
BOX_COUNTS = 2.0  # weight of boxes beside that of objects and classes


class YOLO(nn.Module):
    """Images (B, 1, H, W) -> of each cell (B, 5 + classes, H/4, W/4): object, centre x, y, width, height, classes."""

    def __init__(self, backbone: str, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.backbone: Any = timm.create_model(
            backbone, features_only=True, out_indices=(1,), in_chans=1, pretrained=False
        )
        [channels], [stride] = self.backbone.feature_info.channels(), self.backbone.feature_info.reduction()
        if stride != STRIDE:
            raise ValueError(f"{backbone} has no layer with a cell of {STRIDE} pixels where one is looked for.")
        last = nn.Conv2d(channels, 5 + classes, kernel_size=1)
        self.head = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            last,
        )
        # At first no cell has an object, as most have none.
        nn.init.constant_(last.get_parameter("bias")[:1], -4.0)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images)[0])


def boxes_of(cells: Tensor) -> Tensor:
    """Boxes (B, gh, gw, 4) in pixels, from a network's cells (B, 5 + classes, gh, gw)."""
    rows = torch.arange(cells.shape[2], device=cells.device)[:, None]
    columns = torch.arange(cells.shape[3], device=cells.device)[None]
    # A centre may be a little outside of its cell, so that the border is no place where nothing can be said.
    x = (columns + 2 * cells[:, 1].sigmoid() - 0.5) * STRIDE
    y = (rows + 2 * cells[:, 2].sigmoid() - 0.5) * STRIDE
    width, height = TYPICAL_SIZE * cells[:, 3].clamp(-4, 4).exp(), TYPICAL_SIZE * cells[:, 4].clamp(-4, 4).exp()
    return torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], -1)


@torch.no_grad()
def objects_of(cells: Tensor) -> list[Found]:
    """Of each image the objects that the cells tell of, each of them once; the classes' first number is 1."""
    boxes, sure = boxes_of(cells).flatten(1, 2), cells[:, 0].sigmoid().flatten(1)
    likeliest = cells[:, 5:].softmax(1).max(1)
    scores, classes = sure * likeliest.values.flatten(1), likeliest.indices.flatten(1) + 1
    found = []
    for own, score, number in zip(boxes.float(), scores.float(), classes, strict=True):
        kept = score > LEAST_SCORE
        own, score, number = own[kept], score[kept], number[kept]
        first = batched_nms(own, score, number, MOST_OVERLAP)[:MOST_OBJECTS]
        found.append(Found(own[first].cpu(), number[first].cpu(), score[first].cpu()))
    return found


def wanted_cells(true: list[tuple[Tensor, Tensor]], height: int, width: int) -> dict[str, Tensor]:
    """Where objects' centres are: (image, row, column) of each, its box and its class (from 0), all (M, ...)."""
    places, boxes, classes = [], [], []
    for image, (own, numbers) in enumerate(true):
        x, y = (own[:, 0] + own[:, 2]) / 2, (own[:, 1] + own[:, 3]) / 2
        column, row = (x / STRIDE).long().clamp(0, width - 1), (y / STRIDE).long().clamp(0, height - 1)
        places.append(torch.stack([torch.full_like(row, image), row, column], 1))
        boxes.append(own)
        classes.append(numbers - 1)
    return {"places": torch.cat(places), "boxes": torch.cat(boxes), "classes": torch.cat(classes)}


@dataclass(frozen=True)
class YOLOTask:
    """Learns where objects are on grey screens, in greys that vary."""

    data: str = "runs/frames/SpaceInvaders.npz"
    """Screens of scripts/make_frames.py, with boxes."""
    backbone: str = "resnet10t"
    """The network of timm whose first layers see."""
    size: int = 0
    """Height and width in pixels, as the agent sees them, such as 84; 0 is the screen's own size."""

    @property
    def name(self) -> str:
        return "yolo"

    def lesson(self) -> "YOLOLesson":
        train, test = load_frames(Path(self.data))
        if not len(train.boxes):
            raise ValueError(f"The screens in {self.data} have no boxes; only those of Space Invaders alone have.")
        return YOLOLesson(self, train, test)


class YOLOLesson:
    score = "map"

    def __init__(self, task: YOLOTask, train: Frames, test: Frames) -> None:
        self.train, self.test, self.size = train, test, task.size
        numbers = np.unique(train.boxes[:, 1])
        self.names = {int(number): train.class_names[number] for number in numbers}
        self.module = YOLO(task.backbone, int(numbers.max()))
        # The same greys at each evaluation.
        self.test_images = resized(test.greys(np.random.default_rng(0)), task.size)
        self.test_boxes = boxes_by_image(test, task.size)

    @property
    def baseline(self) -> dict[str, float]:
        """Of the objects of a screen to train on, found on every screen."""
        one = self.train.rows(np.random.default_rng(1).integers(len(self.train), size=1))
        [(boxes, classes)] = boxes_by_image(one, self.size)
        always = Found(boxes, classes, torch.ones(len(boxes)))
        return average_precisions([always] * len(self.test), self.test_boxes, self.names)

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows = self.train.rows(np.sort(random.integers(len(self.train), size=size)))
        images = resized(rows.greys(random), self.size)
        height, width = -(-images.shape[2] // STRIDE), -(-images.shape[3] // STRIDE)
        return {"images": images} | wanted_cells(boxes_by_image(rows, self.size), height, width)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        cells = self.module(prepared(batch["images"]))
        image, row, column = batch["places"].T
        wanted = torch.zeros_like(cells[:, 0])
        wanted[image, row, column] = 1.0
        there = F.binary_cross_entropy_with_logits(cells[:, 0], wanted, reduction="sum") / len(image)
        boxes = generalized_box_iou_loss(boxes_of(cells)[image, row, column], batch["boxes"], reduction="mean")
        kinds = F.cross_entropy(cells[:, 5:].permute(0, 2, 3, 1)[image, row, column], batch["classes"])
        terms = {"objects": there.detach(), "boxes": boxes.detach(), "classes": kinds.detach()}
        return there + BOX_COUNTS * boxes + kinds, terms

    def found(self, images: Tensor) -> list[Found]:
        return [one for part in images.split(32) for one in objects_of(self.module(prepared(part)))]

    def evaluate(self) -> dict[str, float]:
        return average_precisions(self.found(self.test_images), self.test_boxes, self.names)

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        rows = np.linspace(0, len(self.test) - 1, 6).astype(int)
        with torch.no_grad():
            found = self.found(self.test_images[rows])
        seen = [drawn(image, own, COLOURS) for image, own in zip(self.test_images[rows, 0].numpy(), found, strict=True)]
        return {"found": np.concatenate(seen, 1)}


@dataclass(frozen=True)
class YOLOEncoderConfig:
    """The objects of the newest frames, by a detector that was trained before and stays as it is, as a list."""

    weights: str = ""
    """The folder of scripts/train_module.py yolo, trained with --task.size as large as the agent's frames."""
    objects: int = 48
    """How many of the surest objects the agent gets to know of."""
    frames: int = 2
    """In how many of the newest frames: two show where things go."""
    hidden_sizes: tuple[int, ...] = (256, 256)
    """Widths of the layers that read the list."""

    def build(self, observation_space: gymnasium.Space) -> "YOLOEncoder":
        channels, height, width = image_shape(observation_space, smallest=36)
        if not 1 <= self.frames <= channels or self.objects < 1 or min(self.hidden_sizes, default=0) < 1:
            raise ValueError(f"frames must be 1 to {channels}, objects and hidden_sizes at least 1: {self}.")
        settings, weights = trained(self.weights, "yolo")
        yolo = YOLO(settings["backbone"], len(weights["head.3.bias"]) - 5)
        yolo.load_state_dict(weights)
        return YOLOEncoder(self, ObjectList(yolo, self.objects, self.frames, height, width))


class YOLOEncoder(nn.Module):
    """Images (B, C, H, W) uint8 -> features (B, output_dim)."""

    def __init__(self, config: YOLOEncoderConfig, objects: "ObjectList") -> None:
        super().__init__()
        self.input_layer = objects
        layers: list[nn.Module] = []
        before = objects.numbers
        for width in config.hidden_sizes:
            layers += [orthogonal(nn.Linear(before, width)), nn.ReLU(inplace=True)]
            before = width
        self.torso, self.output_dim = nn.Sequential(*layers), before

    def forward(self, images: Tensor) -> Tensor:
        return self.torso(self.input_layer(images))


class ObjectList(nn.Module):
    """Frames (B, C, H, W) uint8 -> (B, frames * objects * (5 + classes)): of each object its score, its centre and size
    from 0 to 1, and its class, ordered by class and then place; zeros where there is none."""

    scale: Tensor

    def __init__(self, yolo: YOLO, objects: int, frames: int, height: int, width: int) -> None:
        super().__init__()
        self.yolo = yolo.requires_grad_(False).eval()
        self.objects, self.frames = objects, frames
        self.classes = yolo.classes
        self.register_buffer("scale", 1.0 / torch.tensor([width, height] * 2), persistent=False)
        self.numbers = frames * objects * (5 + self.classes)

    def train(self, mode: bool = True) -> Any:
        return super().train(False)  # its statistics stay as they were

    def forward(self, images: Tensor) -> Tensor:
        newest = images[:, -self.frames :].flatten(0, 1)[:, None]
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            found = objects_of(self.yolo(prepared(newest)))
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
