"""Classical segmentation: things are what is connected and not of the background's grey (Rosenfeld
and Pfaltz 1966)."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.vision.detection import Found

MAX_OBJECTS = 100


@dataclass(frozen=True)
class Components:
    """How things are found in a grey image."""

    contrast: int = 12
    """Greys by which a thing differs from the background, which is the image's most frequent
    grey."""
    gap: int = 4
    """Pixels: pieces that are nearer to each other are one thing."""

    def boxes(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Of each thing in an image (H, W): left, top, right, bottom, in pixels; (M, 4), the
        largest first."""
        background = np.bincount(image.ravel(), minlength=256).argmax()
        there = (np.abs(image.astype(np.int16) - background) > self.contrast).astype(np.uint8)
        joined = (
            cv2.dilate(there, np.ones((self.gap, self.gap), np.uint8)) if self.gap > 1 else there
        )
        count, labels = cv2.connectedComponents(joined)
        labels = labels * there  # what was only joined is no part of a thing
        boxes = np.array(
            [bounds(labels == thing) for thing in range(1, count) if (labels == thing).any()],
            np.float32,
        )
        boxes = boxes.reshape(-1, 4)
        sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return boxes[np.argsort(-sizes, kind="stable")]


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a mask (H, W) that is not empty, the last two just outside."""
    columns = np.flatnonzero(mask.any(0))
    rows = np.flatnonzero(mask.any(1))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def count_of_size(
    boxes: NDArray[np.float32], width: tuple[float, float], height: tuple[float, float]
) -> int:
    """Things whose width and height lie in these ranges, in pixels, both ends included."""
    widths = boxes[:, 2] - boxes[:, 0]
    heights = boxes[:, 3] - boxes[:, 1]
    fits = (
        (widths >= width[0])
        & (widths <= width[1])
        & (heights >= height[0])
        & (heights <= height[1])
    )
    return int(fits.sum())


class ComponentsDetector(nn.Module):
    """Finds things without having learnt anything; all are of one class."""

    classes = 1

    def __init__(self, settings: Components) -> None:
        super().__init__()
        self.settings = settings

    def found(self, images: Tensor) -> list[Found]:
        """Things in each image, uint8 (B, 1, H, W)."""
        every = [
            torch.from_numpy(self.settings.boxes(image))[:MAX_OBJECTS]
            for image in images[:, 0].cpu().numpy()
        ]
        return [
            Found(own, torch.ones(len(own), dtype=torch.int64), torch.ones(len(own)))
            for own in every
        ]
