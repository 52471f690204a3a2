"""Detection by default boxes on maps of several scales (SSD; Liu et al. 2016): torchvision's, with
boxes as small as a game's objects."""

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.settings.tasks import SSDTask
from perception.vision.backbones import first_maps
from perception.vision.detection import Found, HeldOut, drawn_screens
from perception.vision.frames import Frames, prepared

SCALES = {1: (0.05, 0.07), 2: (0.016, 0.05, 0.07), 3: (0.016, 0.05, 0.07, 0.1)}
"""Number of maps -> sizes of their default boxes, in shares of the image, and one beyond the
last."""
RATIOS = {1: ((2.0, 6.0),), 2: ((6.0,), (2.0,)), 3: ((6.0,), (2.0,), (2.0,))}
"""Number of maps -> how much longer than wide, and wider than long, default boxes are besides."""
MIN_SCORE = 0.02
MAX_OVERLAP = 0.5
MAX_OBJECTS = 100


class SSD(nn.Module):
    """Images (B, 1, H, W) uint8 -> objects, by the first so many maps of a network of timm, each
    half as fine."""

    def __init__(self, backbone: str, maps: int, classes: int, height: int, width: int) -> None:
        from torchvision.models.detection.anchor_utils import (
            DefaultBoxGenerator,  # here, because it takes seconds and few commands need it
        )
        from torchvision.models.detection.ssd import SSD as TorchvisionSSD

        super().__init__()
        self.classes = classes
        boxes: Any = DefaultBoxGenerator(
            [list(ratios) for ratios in RATIOS[maps]], scales=list(SCALES[maps])
        )
        self.detector = TorchvisionSSD(
            SSDFeatureMaps(backbone, maps),
            boxes,
            (width, height),
            classes + 1,  # the first is none
            image_mean=[0.0],
            image_std=[1.0],
            score_thresh=MIN_SCORE,
            nms_thresh=MAX_OVERLAP,
            detections_per_img=MAX_OBJECTS,
        )
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """torchvision's losses by name, in training mode.

        A target has an image's `boxes` (M, 4) in pixels and `labels` (M,) int64 from 1."""
        return self.detector(list(prepared(images)), targets)

    @torch.no_grad()
    def found(self, images: Tensor) -> list[Found]:
        """Objects in each image."""
        told = self.detector(list(prepared(images)))
        return [Found(one["boxes"].cpu(), one["labels"].cpu(), one["scores"].cpu()) for one in told]


class SSDFeatureMaps(nn.Module):
    """The first maps of a network, the finest first, of 4, 8, 16 pixels a cell."""

    def __init__(self, backbone: str, maps: int) -> None:
        super().__init__()
        indices = tuple(range(1, 1 + maps))
        self.network = first_maps(backbone, indices)
        self.out_channels = self.network.feature_info.channels()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return OrderedDict((str(number), each) for number, each in enumerate(self.network(images)))


class SSDLesson:
    score = "map"

    def __init__(self, task: SSDTask, train: Frames, test: Frames) -> None:
        self.train = train
        self.size = task.size
        self.held_out = HeldOut(test, task.size)
        height, width = self.held_out.images.shape[2:]
        self.module = SSD(task.backbone, task.maps, int(train.boxes[:, 1].max()), height, width)

    @property
    def baseline(self) -> dict[str, float]:
        return self.held_out.baseline(self.train)

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        _, columns = drawn_screens(self.train, random, size, self.size)
        return columns

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        counts = batch["counts"].tolist()
        by_image = zip(batch["boxes"].split(counts), batch["classes"].split(counts), strict=True)
        losses = self.module.losses(
            batch["images"], [{"boxes": own, "labels": kinds} for own, kinds in by_image]
        )
        total = losses["bbox_regression"] + losses["classification"]
        return total, {name: loss.detach() for name, loss in losses.items()}

    def evaluate(self) -> dict[str, float]:
        return self.held_out.metrics(self.module)

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {"found": self.held_out.picture(self.module)}
