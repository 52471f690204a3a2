"""Observation spaces that encoders read."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box

MOST_SYMBOLS = 32


def image_shape(space: gymnasium.Space, smallest: int) -> tuple[int, int, int]:
    """(channels, height, width) of a space of uint8 images, channels first."""
    if isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        channels, height, width = space.shape
        if min(height, width) >= smallest:
            return channels, height, width
    raise ValueError(
        f"This encoder reads uint8 images (channels, height, width) of at least "
        f"{smallest}x{smallest} pixels, not {space.shape} {space.dtype}; --encoder mlp reads vectors."
    )


def sizes_of(space: Box) -> tuple[int, ...]:
    """How many symbols each channel has."""
    return tuple(int(channel.max()) + 1 for channel in space.high)


def shows_symbols(space: gymnasium.Space) -> bool:
    return (
        isinstance(space, Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and int(space.high.max()) < MOST_SYMBOLS
    )
