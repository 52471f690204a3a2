"""Connected components: things by their grey, joined over small gaps, counted by their size."""

import numpy as np
import torch
from gymnasium.spaces import Box

from perception.classical.components import Components, count_of_size
from perception.settings.module_encoders import ComponentsEncoderConfig, ListEncoderConfig

AGENT_SEES = Box(0, 255, (4, 84, 84), np.uint8)


def image_with(*things: tuple[slice, slice, int], background: int = 90) -> np.ndarray:
    image = np.full((40, 40), background, np.uint8)
    for rows, columns, grey in things:
        image[rows, columns] = grey
    return image


def test_darker_and_brighter_things_are_found_and_faint_ones_are_not() -> None:
    dark, bright = (slice(2, 6), slice(3, 8), 20), (slice(20, 30), slice(20, 22), 200)
    faint = (slice(10, 14), slice(30, 34), 95)
    boxes = Components(contrast=12, gap=1).boxes(image_with(dark, bright, faint))
    assert sorted(boxes.tolist()) == [[3, 2, 8, 6], [20, 20, 22, 30]]


def test_pieces_over_a_small_gap_are_one_thing_with_its_own_borders() -> None:
    upper, lower = (slice(5, 8), slice(10, 16), 200), (slice(10, 13), slice(10, 16), 200)
    image = image_with(upper, lower)
    assert Components(gap=4).boxes(image).tolist() == [[10, 5, 16, 13]]
    assert len(Components(gap=1).boxes(image)) == 2


def test_an_empty_image_has_none() -> None:
    assert Components().boxes(image_with()).shape == (0, 4)


def test_things_are_counted_by_size() -> None:
    boxes = np.array([[0, 0, 8, 10], [0, 0, 8, 18], [0, 0, 1, 8], [5, 5, 14, 16]], np.float32)
    assert count_of_size(boxes, (5, 9), (5, 11)) == 2
    assert count_of_size(boxes[:0], (5, 9), (5, 11)) == 0


def test_an_agent_gets_a_list_of_things_without_weights() -> None:
    reader = ListEncoderConfig(frames=1, relative_to=0, features=16)
    encoder = ComponentsEncoderConfig(objects=5, reader=reader).build(AGENT_SEES)
    frames = torch.zeros(2, 4, 84, 84, dtype=torch.uint8)
    frames[0, -1, 42:63, 21:42] = 200
    told = encoder.input_layer(frames).reshape(2, 5, 6)
    # Score, center x and y, width, height, class.
    torch.testing.assert_close(
        told[0, 0], torch.tensor([1.0, 31.5 / 84, 52.5 / 84, 0.25, 0.25, 1.0])
    )
    assert (told[0, 1:] == 0).all()
    assert (told[1] == 0).all()
    assert encoder(frames).shape == (2, 16)
