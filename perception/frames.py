"""Screens to learn to see from, in greys that are not always the same."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as the Atari emulator's own greys
CONTRAST, BRIGHTNESS, COLOUR = 0.3, 20.0, 25.0


@dataclass(frozen=True)
class Frames:
    """Screens with what is on them; row n of every column is one screen."""

    screens: NDArray[np.uint8]  # (N, H, W), numbers of the game's palette
    games: NDArray[np.int64]  # (N,), which of `names`
    episodes: NDArray[np.int64]  # (N,), the seed of its episode
    classes: NDArray[np.uint8]  # (N, H, W), of each pixel, or (N, 0, 0) where nothing is labelled
    boxes: NDArray[np.int64]  # (M, 6): screen, class, left, top, right, bottom, by screen
    names: tuple[str, ...]  # games
    class_names: tuple[str, ...]
    palettes: NDArray[np.uint8]  # (games, 256, 3) RGB

    def __len__(self) -> int:
        return len(self.screens)

    def rows(self, chosen: NDArray[np.int64]) -> "Frames":
        """These screens alone, in this order."""
        starts = np.searchsorted(self.boxes[:, 0], chosen)
        stops = np.searchsorted(self.boxes[:, 0], chosen, "right")
        boxes = [self.boxes[start:stop].copy() for start, stop in zip(starts, stops, strict=True)]
        for place, own in enumerate(boxes):
            own[:, 0] = place
        return Frames(
            self.screens[chosen],
            self.games[chosen],
            self.episodes[chosen],
            self.classes[chosen],
            np.concatenate(boxes) if boxes else self.boxes[:0],
            self.names,
            self.class_names,
            self.palettes,
        )

    def greys(self, random: np.random.Generator | None) -> Tensor:
        """The screens as images uint8 (N, 1, H, W); with `random`, each in greys of its own."""
        plain = self.palettes[self.games] @ np.array(LUMINANCE, np.float32)  # (N, 256)
        if random is not None:
            plain = jittered(plain, random)
        tables = np.rint(plain.clip(0, 255)).astype(np.uint8)
        return torch.from_numpy(
            np.stack([table[screen] for table, screen in zip(tables, self.screens, strict=True)])[:, None]
        )


def jittered(greys: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Palettes of greys (N, 256) with another contrast, another brightness, and each colour somewhat off."""
    size = (len(greys), 1)
    contrast = random.uniform(1 - CONTRAST, 1 + CONTRAST, size)
    shifted = greys * contrast + random.normal(0, BRIGHTNESS, size) + random.normal(0, COLOUR, greys.shape)
    return shifted.astype(np.float32)


def prepared(images: Tensor) -> Tensor:
    """uint8 (B, 1, H, W) -> float (B, 1, H, W), each image of mean 0 and deviation 1: greys vary, shapes do not."""
    x = images.float()
    mean, deviation = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
    return ((x - mean) / (deviation + 1e-3)).contiguous(memory_format=torch.channels_last)


def resized(images: Tensor, size: int) -> Tensor:
    """Squares of this size, by mean over areas, as agents get them; 0 leaves them as they are."""
    if not size:
        return images
    squares = [cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images[:, 0].numpy()]
    return torch.from_numpy(np.stack(squares)[:, None])


def save_frames(path: Path, train: Frames, test: Frames) -> None:
    """Both parts in one compressed file, which must not exist."""
    columns: dict[str, Any] = {f"train_{name}": value for name, value in parts(train)}
    columns |= {f"test_{name}": value for name, value in parts(test)}
    with path.open("xb") as file:
        np.savez_compressed(file, **columns)


def load_frames(path: Path) -> tuple[Frames, Frames]:
    """What to train on and what to test on. Raises ValueError, in one line, for what is no such file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = dict(file)
        return frames_from(columns, "train"), frames_from(columns, "test")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as damage:
        raise ValueError(f"{path} holds no frames of scripts/make_frames.py: {damage}") from damage


def screens_of_games(data: str) -> tuple[Frames, Frames]:
    """What to train on and what to test on. Raises ValueError where they are of one game alone."""
    train, test = load_frames(Path(data))
    if len(train.names) < 2:
        raise ValueError(f"{data} has screens of {', '.join(train.names)} alone; make some with several --games.")
    return train, test


def parts(frames: Frames) -> list[tuple[str, NDArray]]:
    return [(field.name, np.asarray(getattr(frames, field.name))) for field in fields(frames)]


def frames_from(columns: dict[str, NDArray], part: str) -> Frames:
    own: dict[str, Any] = {field.name: columns[f"{part}_{field.name}"] for field in fields(Frames)}
    for name in ("names", "class_names"):
        own[name] = tuple(str(each) for each in own[name])
    return Frames(**own)
