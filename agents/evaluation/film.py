"""Films of episodes: WebM videos that every browser plays, written frame by frame, and short GIFs
for TensorBoard."""

import io
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import gymnasium
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agents.experiment import InvalidExperiment

FASTEST = 30.0
"""Frames a second at most; an environment that renders faster is shown in slow motion."""
MAX_PIXELS_A_SIDE = 16_383
"""The largest width and height of a VP8 video (RFC 6386)."""
SEGMENT = bytes.fromhex("18538067")
"""Begins the one segment of a WebM file, which holds all but a short header; its size follows, in 8
bytes."""
SEGMENT_SIZE_BYTES = 8
SEGMENT_WITHIN = 256
"""The header is shorter than this, in bytes."""
GIF_FRAMES = 240
GIF_PIXELS_A_SIDE = 320


class FilmWriter:
    """Writes frames to a WebM video (VP8) as they come; its memory does not grow with the episode.

    Used as a context manager: the file appears at `path` when the block ends, and not at all when
    the block raises or adds no frame. The end of the block raises OSError where the disk did not
    take the whole file. Frames are enlarged by a whole factor to at least `min_width` pixels."""

    def __init__(self, path: Path, frames_per_second: float, min_width: int = 320) -> None:
        self.path = path
        self.beside = path.with_name(f".writing-{path.name}")
        self.frames_per_second = frames_per_second
        self.min_width = min_width
        self.frames = 0
        self.sample = Sample(GIF_FRAMES)
        self.shape: tuple[int, ...] = ()
        self.writer: cv2.VideoWriter | None = None
        self.made_folder = False

    def __enter__(self) -> "FilmWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.writer is None:
            return
        self.writer.release()
        if failure is None and is_whole(self.beside):
            self.beside.replace(self.path)
            return
        self.beside.unlink(missing_ok=True)
        if self.made_folder:
            self.path.parent.rmdir()
        if failure is None:
            raise OSError(f"{self.path} could not be written to its end; the disk may be full.")

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Appends a frame (H, W, 3). Raises InvalidExperiment where its size differs from the first
        frame's."""
        if self.writer is None:
            self.shape = frame.shape
            self.writer = self._open(*frame.shape[:2])
        if frame.shape != self.shape:
            raise InvalidExperiment(
                f"render() gave a frame of {size(self.shape)} pixels and then one of "
                f"{size(frame.shape)}; "
                "a film needs frames of one size."
            )
        enlarged = cv2.resize(
            frame, None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_NEAREST
        )
        height, width = enlarged.shape[:2]
        even = cv2.copyMakeBorder(enlarged, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self.writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
        self.sample.add(frame)
        self.frames += 1

    def gif(self) -> bytes:
        """The film as an animation of at most 240 frames, which lasts as long as the film."""
        images = self.sample.images
        milliseconds = round(1000 * self.sample.stride / self.frames_per_second)
        stream = io.BytesIO()
        images[0].save(
            stream, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0
        )
        return stream.getvalue()

    def _open(self, height: int, width: int) -> cv2.VideoWriter:
        self.scale = max(1, min(self.min_width // width, MAX_PIXELS_A_SIDE // height))
        height = height * self.scale
        width = width * self.scale
        if max(height, width) >= MAX_PIXELS_A_SIDE:
            raise InvalidExperiment(
                f"A film's frames must be below {MAX_PIXELS_A_SIDE:,} pixels a side, not "
                f"{width}x{height}."
            )
        self.made_folder = not self.path.parent.exists()
        self.path.parent.mkdir(exist_ok=True)
        codec = cv2.VideoWriter.fourcc(*"VP80")
        evened = (width + width % 2, height + height % 2)
        with without_stderr():  # OpenCV warns of a codec's tag, which WebM does not have
            writer = cv2.VideoWriter(
                str(self.beside), cv2.CAP_FFMPEG, codec, self.frames_per_second, evened
            )
        if not writer.isOpened():
            writer.release()
            raise OSError(f"No video can be written to {self.path}.")
        return writer


def is_whole(path: Path) -> bool:
    """Whether a WebM file ends where its segment does (RFC 9559): ffmpeg says nothing of what it
    could not write."""
    with path.open("rb") as file:
        beginning = file.read(SEGMENT_WITHIN)
    start = beginning.find(SEGMENT) + len(SEGMENT) + SEGMENT_SIZE_BYTES
    if SEGMENT not in beginning or len(beginning) < start:
        return False
    size = int.from_bytes(
        beginning[start - SEGMENT_SIZE_BYTES + 1 : start], "big"
    )  # after a byte that says 8 bytes
    return path.stat().st_size == start + size


class Sample:
    """At most so many frames of a film, at equal distances, as images of 256 colors."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.stride = 1
        self.offered = 0
        self.images: list[Image.Image] = []

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Takes in the next frame (H, W, 3), if its turn has come. When it is full, it drops every
        other one, and from then on takes half as many."""
        if self.offered == self.most * self.stride:
            self.images = self.images[::2]
            self.stride *= 2
        if self.offered % self.stride == 0:
            image = Image.fromarray(frame)
            image.thumbnail((GIF_PIXELS_A_SIDE, GIF_PIXELS_A_SIDE))
            self.images.append(image.quantize(256))
        self.offered += 1


def frames_of(env: gymnasium.Env) -> list[NDArray[np.uint8]]:
    """What the environment renders now, as frames (H, W, 3): one, or those since the last call
    where it gives a list.

    Raises InvalidExperiment, in one line, where there is nothing that can be shown."""
    try:
        rendered = env.render()
    except (Exception, SystemExit) as failure:
        told = " ".join(f"{type(failure).__name__} {failure}".split())
        raise InvalidExperiment(
            f"The environment cannot be filmed: its render() failed with {told}."
        ) from failure
    if rendered is None:
        raise InvalidExperiment(
            "The environment cannot be filmed: its render() gave None; it must be built with "
            "render_mode='rgb_array'."
        )
    several = isinstance(rendered, list | tuple) and all(np.ndim(part) >= 2 for part in rendered)
    return [picture(one) for one in (rendered if several else [rendered])]


def picture(rendered: Any) -> NDArray[np.uint8]:
    """A rendered image as (H, W, 3) of uint8.

    Taken are grey images (H, W) or (H, W, 1), color (H, W, 3), and transparency (H, W, 4), which
    is laid on white; integers from 0 to 255, booleans, and floats from 0 to 1. Raises
    InvalidExperiment for everything else."""
    try:
        image = np.asarray(rendered)
    except Exception as failure:
        raise InvalidExperiment(
            f"The environment cannot be filmed: its render() gave no array but a "
            f"{type(rendered).__name__}: {failure}"
        ) from failure
    if image.ndim == 2:
        image = image[:, :, None]
    if (
        image.dtype.kind not in "biuf"
        or image.ndim != 3
        or image.shape[2] not in (1, 3, 4)
        or not image.size
    ):
        raise InvalidExperiment(
            f"The environment cannot be filmed: its render() gave {image.dtype} of shape "
            f"{image.shape}; "
            "numbers of shape (height, width, 3) are needed."
        )
    image = to_bytes(image)
    if image.shape[2] == 4:
        opacity = image[:, :, 3:] / 255
        image = np.rint(image[:, :, :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def to_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Brightness as uint8: booleans and floats in [0, 1] are scaled to 255.

    Raises InvalidExperiment outside of the range."""
    if image.dtype == np.uint8:
        return image
    brightest = 1 if image.dtype.kind in "bf" else 255
    if not (
        image.min() >= 0 and image.max() <= brightest
    ):  # not a number is not in the range, either
        raise InvalidExperiment(
            f"The environment cannot be filmed: its render() gave {image.dtype} from {image.min()} "
            f"to {image.max()}; "
            f"they must lie in [0, {brightest}]."
        )
    return np.rint(image.astype(np.float64) * (255 / brightest)).astype(np.uint8)


def frame_rate(env: gymnasium.Env) -> float:
    """Frames a second of a film: the environment's `render_fps`, from 1 to 30; 30 where it says
    nothing usable."""
    try:
        rate = float(env.metadata["render_fps"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return FASTEST
    return min(FASTEST, max(1.0, rate)) if math.isfinite(rate) and rate > 0 else FASTEST


def size(shape: tuple[int, ...]) -> str:
    """Width and height of a frame of this shape (H, W, 3), such as 160x210, for messages."""
    return f"{shape[1]}x{shape[0]}"


@contextmanager
def without_stderr() -> Iterator[None]:
    """Keeps what C libraries print to standard error off the terminal; errors must be found in
    another way."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
