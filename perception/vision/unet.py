"""Segmentation: what each pixel belongs to (U-Net; Ronneberger et al. 2015)."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.palette import COLORS
from perception.settings.tasks import UNetTask
from perception.vision.frames import Frames, prepared, resized

RARE_CLASSES_COUNT = 0.5
"""Exponent of a class's rarity in its weight: 0 counts every pixel alike, 1 every class."""


class UNet(nn.Module):
    """Images (B, C, H, W), any size -> scores of each class (B, classes, H, W)."""

    def __init__(self, channels: int, classes: int, widths: tuple[int, ...], skips: bool) -> None:
        super().__init__()
        self.skips = skips
        self.down = nn.ModuleList(
            [
                twice(before, after)
                for before, after in zip((channels, *widths), widths, strict=False)
            ]
        )
        kept = widths[:-1] if skips else [0] * (len(widths) - 1)
        self.up = nn.ModuleList(
            [
                twice(deep + own, width)
                for deep, own, width in zip(widths[1:], kept, widths[:-1], strict=True)
            ]
        )
        self.last = nn.Conv2d(widths[0], classes, kernel_size=1)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        # Each level but the last halves the image; the padding is cut off again at the end.
        multiple = 2 ** (len(self.down) - 1)
        x = F.pad(images, (0, -width % multiple, 0, -height % multiple))
        sizes: list[Tensor] = []
        for block in self.down[:-1]:
            x = block(x)
            sizes.append(x)
            x = F.max_pool2d(x, 2)
        x = self.down[-1](x)
        for block, fine in zip(reversed(self.up), reversed(sizes), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, fine], 1) if self.skips else x)
        return self.last(x)[:, :, :height, :width]


def twice(before: int, after: int) -> nn.Module:
    """Two 3x3 convolutions, each with batch normalization and a ReLU; maps keep their size."""

    def once(channels: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels, after, kernel_size=3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

    return nn.Sequential(*once(before), *once(after))


class UNetLesson:
    score = "mean_iou"

    def __init__(self, task: UNetTask, train: Frames, test: Frames) -> None:
        self.train = train
        self.test = test
        self.size = task.size
        self.classes = len(train.class_names)
        self.module = UNet(1, self.classes, task.widths, task.skips)
        # The same greys at each evaluation.
        self.test_images = resized(test.greys(np.random.default_rng(0)), task.size)
        self.test_classes = resized_classes(test.classes, task.size)
        counts = np.bincount(
            resized_classes(train.classes[:500], task.size).ravel(), minlength=self.classes
        )
        rarity = (counts.sum() / np.maximum(counts, 1)) ** RARE_CLASSES_COUNT
        self.weights = torch.as_tensor(rarity / rarity.mean(), dtype=torch.float32)

    @property
    def baseline(self) -> dict[str, float]:
        """Of the rule that knows of each grey which class it is most often."""
        random = np.random.default_rng(1)
        some = self.train.rows(
            random.choice(len(self.train), min(500, len(self.train)), replace=False)
        )
        images = resized(some.greys(random), self.size).numpy()
        classes = resized_classes(some.classes, self.size)
        counts = np.bincount(
            images.ravel() * self.classes + classes.ravel(), minlength=256 * self.classes
        )
        likeliest = counts.reshape(256, self.classes).argmax(1)
        return self.metrics(
            confusion(likeliest[self.test_images.numpy()[:, 0]], self.test_classes, self.classes)
        )

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows = self.train.rows(random.integers(len(self.train), size=size))
        classes = torch.from_numpy(resized_classes(rows.classes, self.size)).long()
        return {"images": resized(rows.greys(random), self.size), "classes": classes}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        scores = self.module(prepared(batch["images"]))
        loss = F.cross_entropy(scores, batch["classes"], self.weights.to(scores.device))
        return loss, {
            "pixels_right": (scores.detach().argmax(1) == batch["classes"]).float().mean()
        }

    def evaluate(self) -> dict[str, float]:
        found = torch.cat([self.found(part) for part in self.test_images.split(32)])
        return self.metrics(confusion(found.numpy(), self.test_classes, self.classes))

    def found(self, images: Tensor) -> Tensor:
        """Class of each pixel (B, H, W)."""
        return self.module(prepared(images.to(self.module.last.weight.device))).argmax(1).cpu()

    def metrics(self, matrix: NDArray[np.int64]) -> dict[str, float]:
        """Intersection over union of each class and their mean, from a matrix of `confusion`."""
        ious = intersection_over_union(matrix)
        return {"mean_iou": float(ious.mean())} | {
            f"iou_{name}": float(iou)
            for name, iou in zip(self.train.class_names, ious, strict=True)
        }

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        rows = np.linspace(0, len(self.test) - 1, 6).astype(int)
        with torch.no_grad():
            found = self.found(self.test_images[rows]).numpy()
        seen = np.repeat(self.test_images[rows, 0].numpy()[..., None], 3, 3)
        strips = [
            np.concatenate([s, COLORS[t], COLORS[f]], 0)
            for s, t, f in zip(seen, self.test_classes[rows], found, strict=True)
        ]
        return {"seen-true-found": np.concatenate(strips, 1)}


def resized_classes(classes: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Classes (N, H, W) in squares of `size`, by the nearest pixel; 0 leaves them as they are."""
    if not size:
        return classes
    # A mean of two classes' numbers would be the number of a third one.
    squares = [cv2.resize(own, (size, size), interpolation=cv2.INTER_NEAREST) for own in classes]
    return np.stack(squares)


def confusion(found: NDArray, true: NDArray, classes: int) -> NDArray[np.int64]:
    """How many pixels of each true class (rows) were found to be of each (columns)."""
    pairs = true.ravel().astype(np.int64) * classes + found.ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def intersection_over_union(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each class (Everingham et al. 2010), over all images; 1 for one that is nowhere and was
    found nowhere."""
    right = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - right
    return np.where(union > 0, right / np.maximum(union, 1), 1.0)


class Masks(nn.Module):
    """Frames (M, 1, H, W) uint8 -> how likely each pixel is of each class but the background (M,
    classes - 1, H, W), uint8: 255 is certainty."""

    def __init__(self, unet: UNet) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, frames: Tensor) -> Tensor:
        return (255 * self.unet(prepared(frames)).float().softmax(1)[:, 1:]).round().byte()
