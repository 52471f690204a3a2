"""What detectors share: boxes at every size of image, and how good found ones are."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception.palette import COLORS
from perception.vision.frames import Frames, load_frames, resized

IMAGES_AT_A_TIME = 32


@dataclass(frozen=True)
class Found:
    """Objects in one image, the surest first."""

    boxes: Tensor  # (D, 4): left, top, right, bottom, in pixels
    classes: Tensor  # (D,) int64, as the frames number them
    scores: Tensor  # (D,), from 0 to 1


def boxes_by_image(frames: Frames, size: int) -> list[tuple[Tensor, Tensor]]:
    """Of each image the boxes (M, 4) float32 in pixels, scaled to squares of this size, if any; and
    classes (M,)."""
    height, width = frames.screens.shape[1:]
    scale = np.array([size / width, size / height] * 2 if size else [1.0] * 4, np.float32)
    starts = np.searchsorted(frames.boxes[:, 0], np.arange(len(frames) + 1))
    return [
        (
            torch.from_numpy(own[:, 2:].astype(np.float32) * scale),
            torch.from_numpy(own[:, 1].copy()),
        )
        for own in (frames.boxes[start:stop] for start, stop in pairwise(starts))
    ]


def found_in(detector: Any, images: Tensor) -> list[Found]:
    """Objects in each image, uint8 (N, 1, H, W), some images at a time."""
    # A detector without parameters finds objects where the images are.
    device = next(detector.parameters(), images).device
    return [
        one for part in images.split(IMAGES_AT_A_TIME) for one in detector.found(part.to(device))
    ]


def average_precisions(
    found: list[Found],
    true: list[tuple[Tensor, Tensor]],
    names: dict[int, str],
    overlap: float = 0.5,
) -> dict[str, float]:
    """AP of each class and their mean (Everingham et al. 2010, the whole area under the curve).

    A found object is right if it overlaps, by `overlap` of their union, with a true one that no
    surer one has taken."""
    told = {
        f"ap_{name}": average_precision(*matched(found, true, number, overlap))
        for number, name in names.items()
    }
    return {"map": float(np.mean(list(told.values())))} | told


def matched(
    found: list[Found], true: list[tuple[Tensor, Tensor]], number: int, overlap: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Of all found objects of a class the scores and whether they are right; and how many true ones
    there are."""
    from torchvision.ops import box_iou  # here, because it takes seconds and few commands need it

    scores = []
    right = []
    count = 0
    for own, (boxes, classes) in zip(found, true, strict=True):
        wanted = boxes[classes == number]
        count += len(wanted)
        mine = own.classes == number
        overlaps = (
            box_iou(own.boxes[mine], wanted).numpy()
            if len(wanted)
            else np.zeros((int(mine.sum()), 1))
        )
        for row, score in zip(overlaps, own.scores[mine].tolist(), strict=True):
            best = int(row.argmax())
            scores.append(score)
            right.append(bool(row[best] >= overlap))
            if right[-1]:
                overlaps[:, best] = 0.0  # taken
    return np.array(scores, np.float64), np.array(right, np.bool_), count


def average_precision(scores: NDArray[np.float64], right: NDArray[np.bool_], count: int) -> float:
    """Area under precision over recall, with `count` objects to find; not a number where there are
    none."""
    if not count:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(hits) + 1)
    recall = hits / count
    # At each recall, the best precision at that recall or a larger one.
    best_later = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best_later))


class HeldOut:
    """Screens to test detectors on, in greys that are the same at each evaluation."""

    def __init__(self, frames: Frames, size: int) -> None:
        self.size = size
        self.images = resized(frames.greys(np.random.default_rng(0)), size)
        self.boxes = boxes_by_image(frames, size)
        self.names = {
            int(number): frames.class_names[number] for number in np.unique(frames.boxes[:, 1])
        }

    def metrics(self, detector: Any) -> dict[str, float]:
        """Average precision of each class, and their mean, of what the detector finds."""
        return average_precisions(found_in(detector, self.images), self.boxes, self.names)

    def baseline(self, train: Frames) -> dict[str, float]:
        """Of the objects of one screen to train on, found on every screen."""
        one = train.rows(np.random.default_rng(1).integers(len(train), size=1))
        [(boxes, classes)] = boxes_by_image(one, self.size)
        always = Found(boxes, classes, torch.ones(len(boxes)))
        return average_precisions([always] * len(self.images), self.boxes, self.names)

    def picture(self, detector: Any) -> NDArray[np.uint8]:
        """What it finds on some screens, side by side."""
        rows = np.linspace(0, len(self.images) - 1, 6).astype(int)
        found = found_in(detector, self.images[rows])
        seen = [
            drawn(image, own, COLORS)
            for image, own in zip(self.images[rows, 0].numpy(), found, strict=True)
        ]
        return np.concatenate(seen, 1)


def drawn_screens(
    train: Frames, random: np.random.Generator, count: int, size: int
) -> tuple[Frames, dict[str, Tensor]]:
    """So many screens by chance, in greys that vary, squares of this size, if any; and as columns:
    images, how many objects each has, and all their boxes and classes."""
    rows = train.rows(np.sort(random.integers(len(train), size=count)))
    true = boxes_by_image(rows, size)
    return rows, {
        "images": resized(rows.greys(random), size),
        "counts": torch.tensor([len(boxes) for boxes, _ in true]),
        "boxes": torch.cat([boxes for boxes, _ in true]),
        "classes": torch.cat([classes for _, classes in true]),
    }


def screens_with_boxes(data: str) -> tuple[Frames, Frames]:
    """Screens to train on and screens to test on. Raises ValueError where there are no boxes or no
    classes of pixels."""
    train, test = load_frames(Path(data))
    if not len(train.boxes):
        raise ValueError(
            f"The screens in {data} have no boxes; only those of Space Invaders alone have."
        )
    if not (train.classes.size and test.classes.size):
        raise ValueError(f"The screens in {data} have boxes, but no classes of their pixels.")
    return train, test


def drawn(
    image: NDArray[np.uint8], found: Found, colors: NDArray[np.uint8], surer_than: float = 0.5
) -> NDArray:
    """The grey image (H, W) as (H, W, 3) with a frame around each object that it is sure of."""
    picture = np.repeat(image[..., None], 3, 2)
    height, width = image.shape
    inside = found.boxes.round().clamp_min(0).minimum(torch.tensor([width, height] * 2)).int()
    for (left, top, right, bottom), number, score in zip(
        inside.tolist(), found.classes, found.scores, strict=True
    ):
        if score > surer_than and right > left and bottom > top:
            picture[top:bottom, [left, right - 1]] = picture[[top, bottom - 1], left:right] = (
                colors[int(number)]
            )
    return picture
