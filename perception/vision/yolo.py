"""Detection in one look: each cell of a grid says whether an object's center is in it, and which
and how large it is (YOLO; Redmon et al. 2016), on the first layers of a residual network (He et al.
2016)."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.settings.tasks import YOLOTask
from perception.vision.backbones import first_maps
from perception.vision.detection import Found, HeldOut, boxes_by_image
from perception.vision.frames import Frames, prepared, resized

STRIDE = 4  # pixels a cell: a smaller object than that is seldom in one cell with another
TYPICAL_SIZE = 8.0  # pixels, of an object whose size the network says is e^0
MIN_SCORE = 0.02
MAX_OVERLAP = 0.5
MAX_OBJECTS = 100
BOX_COUNTS = 2.0  # weight of boxes beside that of objects and classes


class YOLO(nn.Module):
    """Images (B, 1, H, W) -> of each cell (B, 5 + classes, H/4, W/4): object, center x, y, width,
    height, classes."""

    def __init__(self, backbone: str, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = first_maps(backbone, (1,))
        [channels], [stride] = (
            self.backbone.feature_info.channels(),
            self.backbone.feature_info.reduction(),
        )
        if stride != STRIDE:
            raise ValueError(
                f"{backbone} has no layer with a cell of {STRIDE} pixels where one is looked for."
            )
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

    def found(self, images: Tensor) -> list[Found]:
        """Objects in each image, uint8 (B, 1, H, W)."""
        return objects_of(self(prepared(images)))


def boxes_of(cells: Tensor) -> Tensor:
    """Boxes (B, gh, gw, 4) in pixels, from a network's cells (B, 5 + classes, gh, gw)."""
    rows = torch.arange(cells.shape[2], device=cells.device)[:, None]
    columns = torch.arange(cells.shape[3], device=cells.device)[None]
    # A center may be a little outside of its cell, so that the border is no place where nothing can
    # be said.
    x = (columns + 2 * cells[:, 1].sigmoid() - 0.5) * STRIDE
    y = (rows + 2 * cells[:, 2].sigmoid() - 0.5) * STRIDE
    width = TYPICAL_SIZE * cells[:, 3].clamp(-4, 4).exp()
    height = TYPICAL_SIZE * cells[:, 4].clamp(-4, 4).exp()
    return torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], -1)


@torch.no_grad()
def objects_of(cells: Tensor) -> list[Found]:
    """Of each image the objects that the cells tell of, each of them once; the classes' first
    number is 1."""
    from torchvision.ops import (
        batched_nms,
    )  # here, because it takes seconds and few commands need it

    boxes = boxes_of(cells).flatten(1, 2)
    sure = cells[:, 0].sigmoid().flatten(1)
    likeliest = cells[:, 5:].softmax(1).max(1)
    scores = sure * likeliest.values.flatten(1)
    classes = likeliest.indices.flatten(1) + 1
    found = []
    for own, score, number in zip(boxes.float(), scores.float(), classes, strict=True):
        kept = score > MIN_SCORE
        own = own[kept]
        score = score[kept]
        number = number[kept]
        first = batched_nms(own, score, number, MAX_OVERLAP)[:MAX_OBJECTS]
        found.append(Found(own[first].cpu(), number[first].cpu(), score[first].cpu()))
    return found


def wanted_cells(true: list[tuple[Tensor, Tensor]], height: int, width: int) -> dict[str, Tensor]:
    """Where objects' centers are: (image, row, column) of each, its box and its class (from 0), all
    (M, ...)."""
    places = []
    boxes = []
    classes = []
    for image, (own, numbers) in enumerate(true):
        x = (own[:, 0] + own[:, 2]) / 2
        y = (own[:, 1] + own[:, 3]) / 2
        column = (x / STRIDE).long().clamp(0, width - 1)
        row = (y / STRIDE).long().clamp(0, height - 1)
        places.append(torch.stack([torch.full_like(row, image), row, column], 1))
        boxes.append(own)
        classes.append(numbers - 1)
    return {"places": torch.cat(places), "boxes": torch.cat(boxes), "classes": torch.cat(classes)}


class YOLOLesson:
    score = "map"

    def __init__(self, task: YOLOTask, train: Frames, test: Frames) -> None:
        self.train = train
        self.size = task.size
        self.held_out = HeldOut(test, task.size)
        self.module = YOLO(task.backbone, int(train.boxes[:, 1].max()))

    @property
    def baseline(self) -> dict[str, float]:
        return self.held_out.baseline(self.train)

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows = self.train.rows(np.sort(random.integers(len(self.train), size=size)))
        images = resized(rows.greys(random), self.size)
        # Rounded up, as the network's maps are.
        height = -(-images.shape[2] // STRIDE)
        width = -(-images.shape[3] // STRIDE)
        return {"images": images} | wanted_cells(boxes_by_image(rows, self.size), height, width)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        from torchvision.ops import generalized_box_iou_loss

        cells = self.module(prepared(batch["images"]))
        image, row, column = batch["places"].T
        wanted = torch.zeros_like(cells[:, 0])
        wanted[image, row, column] = 1.0
        objects = max(1, len(image))  # a batch of empty screens has none
        there = F.binary_cross_entropy_with_logits(cells[:, 0], wanted, reduction="sum") / objects
        boxes = (
            generalized_box_iou_loss(
                boxes_of(cells)[image, row, column], batch["boxes"], reduction="sum"
            )
            / objects
        )
        kinds = (
            F.cross_entropy(
                cells[:, 5:].permute(0, 2, 3, 1)[image, row, column],
                batch["classes"],
                reduction="sum",
            )
            / objects
        )
        terms = {"objects": there.detach(), "boxes": boxes.detach(), "classes": kinds.detach()}
        return there + BOX_COUNTS * boxes + kinds, terms

    def evaluate(self) -> dict[str, float]:
        return self.held_out.metrics(self.module)

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {"found": self.held_out.picture(self.module)}
