"""Grids of symbols become planes, each symbol of each channel its own."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from perception.settings.encoders import GridEncoderConfig
from perception.spaces import shows_symbols

LARGEST = np.broadcast_to(np.reshape([2, 1], (2, 1, 1)), (2, 3, 3)).astype(np.uint8)
SPACE = Box(np.zeros_like(LARGEST), LARGEST, dtype=np.uint8)


def test_each_symbol_has_a_plane() -> None:
    encoder = GridEncoderConfig(channels=(4,), features=8).build(SPACE)
    symbols = torch.tensor(
        [[[0, 1, 2], [2, 2, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]], dtype=torch.uint8
    )
    planes = encoder.input_layer(symbols[None])
    assert planes.shape == (1, 5, 3, 3)
    for plane, (channel, symbol) in zip(
        planes[0], [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], strict=True
    ):
        np.testing.assert_array_equal(plane, symbols[channel] == symbol)
    features = encoder(symbols[None])
    assert features.shape == (1, 8)
    assert encoder.output_dim == 8


def test_where_a_symbol_is_matters() -> None:
    encoder = GridEncoderConfig().build(SPACE)
    here, there = (
        torch.zeros(1, 2, 3, 3, dtype=torch.uint8),
        torch.zeros(1, 2, 3, 3, dtype=torch.uint8),
    )
    here[0, 0, 0, 0] = there[0, 0, 2, 2] = 2
    assert not torch.allclose(encoder(here), encoder(there))


@pytest.mark.parametrize(
    "space",
    [
        Box(0, 255, (3, 84, 84), np.uint8),
        Box(0, 1, (3, 7, 7), np.float32),
        Box(0, 5, (7,), np.uint8),
    ],
)
def test_images_and_vectors_are_no_symbols(space: Box) -> None:
    assert not shows_symbols(space)
    with pytest.raises(ValueError, match="reads grids of symbols"):
        GridEncoderConfig().build(space)


def test_widths_must_be_there() -> None:
    with pytest.raises(ValueError, match="features must be a whole number from 1 to"):
        GridEncoderConfig(features=0).build(SPACE)
