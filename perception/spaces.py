"""Observation spaces that encoders read."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box

MAX_SYMBOLS = 32


SMALLEST_IMAGE = 36
"""Pixels along the shorter side from which the Nature CNN reads an image."""


def image_shape(space: gymnasium.Space, smallest: int, reals: bool = False) -> tuple[int, int, int]:
    """(channels, height, width) of a space of images, channels first: of bytes, or of real numbers
    where those will do.

    Raises ValueError for anything else, for real numbers without the same finite bounds everywhere,
    and for images that have their channels last."""
    if (
        isinstance(space, Box)
        and len(space.shape) == 3
        and (space.dtype == np.uint8 or (reals and has_range(space)))
    ):
        channels, height, width = space.shape
        if width < min(channels, height):
            raise ValueError(
                f"This encoder reads images (channels, height, width); those of {space.shape} seem "
                "to have their "
                "channels last: wrap the environment, as envs.spaces.StandardSpaces does."
            )
        if min(height, width) >= smallest:
            return channels, height, width
    kinds = (
        "uint8 images, or images of real numbers between two bounds," if reals else "uint8 images"
    )
    raise ValueError(
        f"This encoder reads {kinds} (channels, height, width) of at least {smallest}x{smallest} "
        "pixels, not "
        f"{space.shape} {space.dtype}; --encoder mlp reads vectors, --encoder impala images from "
        "8x8 pixels on."
    )


def is_image(space: gymnasium.Space) -> bool:
    """Whether observations are images of bytes that the convolutional encoders read."""
    try:
        image_shape(space, SMALLEST_IMAGE)
    except ValueError:
        return False
    return True


def has_range(space: Box) -> bool:
    """Whether real numbers have the same two finite bounds everywhere."""
    low = space.low.min()
    high = space.high.max()
    real = np.issubdtype(space.dtype, np.floating) and space.is_bounded() and low < high
    return bool(real and (space.low == low).all() and (space.high == high).all())


def sizes_of(space: Box) -> tuple[int, ...]:
    """How many symbols each channel has."""
    return tuple(int(channel.max()) + 1 for channel in space.high)


def shows_symbols(space: gymnasium.Space) -> bool:
    """Whether observations are uint8 (channels, height, width), all values below MAX_SYMBOLS."""
    return (
        isinstance(space, Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and int(space.high.max()) < MAX_SYMBOLS
    )
