"""What reads lists of objects: what matters in them, and what does not."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from perception.settings.module_encoders import ListEncoderConfig
from perception.vision.objects import NEARNESS, ListReader

LIST = Box(0.0, 1.0, (2 * 5, 5 + 3), np.float32)


def objects(size: int) -> torch.Tensor:
    """Of each of two frames four objects and a place left over; the third is the only one of class
    2."""
    rows = torch.zeros(size, 2, 5, 8)
    rows[:, :, :4, :5] = torch.rand(size, 2, 4, 5).clamp_min(0.1)
    for place, number in enumerate((1, 1, 2, 3)):
        rows[:, :, place, 4 + number] = 1.0
    return rows.flatten(1, 2)


def test_the_order_of_objects_does_not_matter_and_their_frame_does() -> None:
    torch.manual_seed(0)
    encoder, rows = ListEncoderConfig().build(LIST), objects(3)
    read = encoder(rows)
    assert read.shape == (3, encoder.output_dim)
    shuffled = rows.unflatten(1, (2, 5))[:, :, [4, 2, 0, 3, 1]].flatten(1, 2)
    torch.testing.assert_close(encoder(shuffled), read)
    assert not torch.allclose(encoder(rows.unflatten(1, (2, 5)).flip(1).flatten(1, 2)), read)


def test_empty_places_say_nothing() -> None:
    encoder, rows = ListEncoderConfig().build(LIST), objects(3)
    with_more = rows.clone()
    with_more[:, 4, 1:] = 0.7  # no score: nothing is there
    torch.testing.assert_close(encoder(with_more), encoder(rows))


def test_others_are_told_how_they_lie_to_the_surest_of_its_class_in_the_newest_frame() -> None:
    reader, rows = ListReader(ListEncoderConfig(), 8), objects(2)
    told: list[torch.Tensor] = []
    reader.each.register_forward_pre_hook(lambda _, given: told.append(given[0]))
    reader(rows)
    own = rows[:, 5 + 2, 1:3]
    expected = NEARNESS * (rows.unflatten(1, (2, 5))[..., 1:3] - own[:, None, None])
    torch.testing.assert_close(told[0][..., 8:], expected)
    torch.testing.assert_close(reader.place(rows[:, 5:]), own)
    assert not reader.place(
        torch.zeros(2, 5, 8)
    ).any()  # where there is none, relative to the corner


@pytest.mark.parametrize("shape", [(10,), (9, 8), (10, 6), (3, 10, 8)])
def test_what_is_no_such_list_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="reads lists of the objects of 2 frames"):
        ListEncoderConfig().build(Box(0.0, 1.0, shape, np.float32))


def test_a_list_encoder_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="widths must have at least one width"):
        ListEncoderConfig(widths=())
