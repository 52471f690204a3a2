"""Screens to learn to see from, in greys that are not always the same."""

import os
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import cv2
import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as the Atari emulator's own greys
CONTRAST = 0.3
BRIGHTNESS = 20.0
COLOR = 25.0


@dataclass(frozen=True)
class Frames:
    """Screens with what is on them; row n of every column is one screen."""

    screens: NDArray[np.uint8]  # (N, H, W), numbers of the game's palette
    games: NDArray[np.int64]  # (N,), which of `names`
    episodes: NDArray[np.int64]  # (N,), the seed of its episode
    classes: NDArray[np.uint8]  # (N, H, W), of each pixel, or (N, 0, 0) where nothing is labeled
    boxes: NDArray[np.int64]  # (M, 6): screen, class, left, top, right, bottom, by screen
    names: tuple[str, ...]  # games
    class_names: tuple[str, ...]
    palettes: NDArray[np.uint8]  # (games, 256, 3) RGB

    def __len__(self) -> int:
        return len(self.screens)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the screens."""
        _, height, width = self.screens.shape
        return height, width

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
            np.stack([table[screen] for table, screen in zip(tables, self.screens, strict=True)])[
                :, None
            ]
        )


def jittered(greys: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Palettes of greys (N, 256) with another contrast, another brightness, and each color
    somewhat off."""
    size = (len(greys), 1)
    contrast = random.uniform(1 - CONTRAST, 1 + CONTRAST, size)
    shifted = (
        greys * contrast + random.normal(0, BRIGHTNESS, size) + random.normal(0, COLOR, greys.shape)
    )
    return shifted.astype(np.float32)


def prepared(images: Tensor) -> Tensor:
    """uint8 (B, 1, H, W) -> float (B, 1, H, W), each image of mean 0 and deviation 1: greys vary,
    shapes do not."""
    x = images.float()
    mean = x.mean((1, 2, 3), keepdim=True)
    deviation = x.std((1, 2, 3), keepdim=True)
    return ((x - mean) / (deviation + 1e-3)).contiguous(memory_format=torch.channels_last)


def resized(images: Tensor, size: int) -> Tensor:
    """Squares of this size, by mean over areas, as agents get them; 0 leaves them as they are."""
    if not size:
        return images
    squares = [
        cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        for image in images[:, 0].numpy()
    ]
    return torch.from_numpy(np.stack(squares)[:, None])


def save_frames(path: Path, train: Frames, test: Frames) -> None:
    """Both parts in one compressed file, which must not exist; a kill leaves none."""
    columns: dict[str, Any] = {f"train_{name}": value for name, value in parts(train)}
    columns |= {f"test_{name}": value for name, value in parts(test)}
    beside = path.with_name(f".writing-{path.name}")
    try:
        with beside.open("wb") as file:
            np.savez_compressed(file, **columns)
        os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def load_frames(path: Path) -> tuple[Frames, Frames]:
    """What to train on and what to test on. Raises ValueError, in one line, for what is no such
    file."""
    try:
        require_frame_memory(path)
        with np.load(path, allow_pickle=False) as file:
            columns = dict(file)
        train = frames_from(columns, "train")
        test = frames_from(columns, "test")
        for name in ("names", "class_names", "image_shape"):
            if getattr(train, name) != getattr(test, name):
                raise ValueError(f"its parts differ in {name}")
    except DAMAGES as damage:
        raise ValueError(f"{path} holds no frames of scripts/make_frames.py: {damage}") from damage
    return train, test


DAMAGES = (OSError, ValueError, LookupError, EOFError, MemoryError, OverflowError, RecursionError, SyntaxError,
           NotImplementedError, RuntimeError, BadZipFile, zlib.error)  # fmt: skip
"""What reading a .npz file raises where it is damaged or somebody else's."""


def require_frame_memory(path: Path) -> None:
    """Raises ValueError for what is no .npz file, or unpacks to more than the memory that is
    free."""
    if not path.is_file():
        raise ValueError("there is no such file")
    with ZipFile(path) as archive:
        needed = sum(member.file_size for member in archive.infolist())
    free = psutil.virtual_memory().available
    if needed > free:
        raise ValueError(
            f"it unpacks to {needed >> 20:,} MiB, and {free >> 20:,} MiB of memory are free"
        )


def screens_of_games(data: str) -> tuple[Frames, Frames]:
    """What to train on and what to test on. Raises ValueError where they are of one game alone."""
    train, test = load_frames(Path(data))
    if len(train.names) < 2:
        raise ValueError(
            f"{data} has screens of {', '.join(train.names)} alone; make some with several --games."
        )
    return train, test


def parts(frames: Frames) -> list[tuple[str, NDArray]]:
    """Each field of `frames` by name, as an array that a .npz file can hold."""
    return [(field.name, np.asarray(getattr(frames, field.name))) for field in fields(frames)]


def frames_from(columns: dict[str, NDArray], part: str) -> Frames:
    """One part of a file. Raises LookupError or ValueError where a column is missing or is not as
    `Frames` has it."""
    own = {field.name: columns[f"{part}_{field.name}"] for field in fields(Frames)}
    for name, (kind, dimensions) in COLUMNS.items():
        shape = np.shape(own[name])
        dtype = np.asarray(own[name]).dtype
        no_text = kind == "U" and shape == (0,)  # has no text's dtype where there is none
        if (
            (dtype.kind not in kind and not no_text)
            or len(shape) != dimensions
            or (kind == "u" and dtype != np.uint8)
        ):
            raise ValueError(f"{part}_{name} is {dtype} of shape {shape}")
    for name in ("games", "episodes", "boxes"):
        check_range(own[name], -(2**63), 2**63, f"{part}_{name}")
        own[name] = own[name].astype(np.int64)
    names = tuple(str(name) for name in own.pop("names"))
    class_names = tuple(str(name) for name in own.pop("class_names"))
    frames = Frames(**own, names=names, class_names=class_names)
    check_frames(frames, part)
    return frames


COLUMNS = {
    "screens": ("u", 3),
    "games": ("iu", 1),
    "episodes": ("iu", 1),
    "classes": ("u", 3),
    "boxes": ("iu", 2),
    "names": ("U", 1),
    "class_names": ("U", 1),
    "palettes": ("u", 3),
}
"""Kind of numbers (numpy's letters; "u" is uint8) and number of dimensions of each column."""


def check_frames(frames: Frames, part: str) -> None:
    """Raises ValueError where columns do not fit each other or name games, classes or places that
    there are not."""
    screens = len(frames)
    height, width = frames.image_shape
    shapes = {
        "games": (screens,),
        "episodes": (screens,),
        "boxes": (len(frames.boxes), 6),
        "palettes": (len(frames.names), 256, 3),
        "classes": (screens, height, width) if frames.classes.size else (screens, 0, 0),
    }
    for name, shape in shapes.items():
        column = getattr(frames, name)
        if column.shape != shape:
            raise ValueError(f"{part}_{name} has the shape {column.shape}, not {shape}")
    if 0 in frames.screens.shape or not frames.names:
        raise ValueError(f"{part}_screens is empty")
    check_range(frames.games, 0, len(frames.names), f"{part}_games")
    check_range(frames.classes, 0, max(1, len(frames.class_names)), f"{part}_classes")
    row, kind, left, top, right, bottom = frames.boxes.T
    check_range(row, 0, screens, f"{part}_boxes' screen")
    check_range(kind, 1, len(frames.class_names), f"{part}_boxes' class")
    check_range(right, 1, width + 1, f"{part}_boxes' right")
    check_range(bottom, 1, height + 1, f"{part}_boxes' bottom")
    check_range(right - left, 1, width + 1, f"{part}_boxes' width")
    check_range(bottom - top, 1, height + 1, f"{part}_boxes' height")
    check_range(left, 0, width, f"{part}_boxes' left")
    check_range(top, 0, height, f"{part}_boxes' top")
    if (np.diff(row) < 0).any():
        raise ValueError(f"{part}_boxes are not in the order of their screens")


def check_range(numbers: NDArray[np.integer], low: int, stop: int, name: str) -> None:
    """Raises ValueError where numbers lie outside of [low, stop)."""
    if not numbers.size:
        return
    least = int(numbers.min())
    most = int(numbers.max())
    if least < low or most >= stop:
        wrong = least if least < low else most
        raise ValueError(f"{name} is {wrong} somewhere, and must lie in [{low}, {stop})")
