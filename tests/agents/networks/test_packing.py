"""Observations of several parts as one array, and back."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete

from agents.networks.packing import Packing, build_encoder
from perception.settings.encoders import MLPConfig

VECTORS = Dict({"a": Box(-9, 9, (2,), np.float32), "b": Box(-9, 9, (2, 2), np.float32)})
MIXED = Dict({"camera": Box(0, 255, (3, 4, 5), np.uint8), "sensors": Box(-9, 9, (3,), np.float32)})


def batch(space: Dict, size: int = 4) -> dict[str, np.ndarray]:
    space.seed(0)
    samples = [space.sample() for _ in range(size)]
    return {name: np.stack([sample[name] for sample in samples]) for name in space.spaces}


def test_a_box_is_left_as_it_is() -> None:
    space, image = Box(0, 255, (4, 84, 84), np.uint8), np.ones((1, 4, 84, 84), np.uint8)
    packing = Packing(space)
    assert (packing.shape, packing.dtype, packing.sees_images) == ((4, 84, 84), np.uint8, True)
    assert packing.pack(image) is image


def test_vectors_lie_side_by_side() -> None:
    packing = Packing(VECTORS)
    assert (packing.shape, packing.dtype, packing.sees_images) == ((6,), np.float32, False)
    packed = packing.pack({"a": np.array([[1.0, 2.0]]), "b": np.array([[[3.0, 4.0], [5.0, 6.0]]])})
    assert packed.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert packing.slices == {"a": slice(0, 2), "b": slice(2, 6)}


@pytest.mark.parametrize(
    ("space", "numbers"), [(VECTORS, 6), (MIXED, 60 + 3 * 4)], ids=["vectors", "mixed"]
)
def test_what_was_packed_comes_back_to_the_bit(space: Dict, numbers: int) -> None:
    packing, parts = Packing(space), batch(space)
    packed = packing.pack(parts)
    assert packed.shape == (4, numbers)
    unpacked = packing.unpack(torch.from_numpy(packed))
    for name, part in parts.items():
        assert unpacked[name].numpy().dtype == part.dtype
        np.testing.assert_array_equal(unpacked[name].numpy(), part)
    one = packing.pack_one({name: part[2] for name, part in parts.items()})
    np.testing.assert_array_equal(one, packed[2])


def test_a_single_row_is_unpacked_wherever_its_parts_begin() -> None:
    space = Dict({"a": Box(0, 255, (3,), np.uint8), "b": Box(-9, 9, (2,), np.float32)})
    packing = Packing(space)
    packed = packing.pack(
        {"a": np.array([[1, 2, 3]], np.uint8), "b": np.array([[1.5, -2.0]], np.float32)}
    )
    assert packing.unpack(torch.from_numpy(packed))["b"].tolist() == [[1.5, -2.0]]


def test_numbers_in_the_other_byte_order_are_read_by_torch() -> None:
    space = Dict({"a": Box(-9, 9, (2,), ">f4"), "b": Box(0, 9, (1,), ">i2")})
    packing = Packing(space)
    parts = {"a": np.array([[1.5, -2.0]], ">f4"), "b": np.array([[7]], ">i2")}
    unpacked = packing.unpack(torch.from_numpy(packing.pack(parts)))
    assert unpacked["a"].tolist() == [[1.5, -2.0]]
    assert unpacked["b"].tolist() == [[7]]
    one = Packing(space["a"])
    assert torch.from_numpy(one.pack(parts["a"])).tolist() == [[1.5, -2.0]]


def test_normalized_numbers_are_unpacked_as_they_are() -> None:
    unpacked = Packing(VECTORS).unpack(torch.arange(6.0)[None] / 2)
    assert unpacked["b"].tolist() == [[[1.0, 1.5], [2.0, 2.5]]]


def test_parts_other_than_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match="'n' is Discrete"):
        Packing(Dict({"n": Discrete(3)}))


def test_an_encoder_reads_packed_parts_as_it_reads_parts() -> None:
    encoder = build_encoder(MLPConfig(), VECTORS)
    parts = batch(VECTORS)
    packed = torch.from_numpy(Packing(VECTORS).pack(parts))
    plain = torch.cat([torch.from_numpy(parts["a"]), torch.from_numpy(parts["b"]).flatten(1)], 1)
    expected = encoder.torso[1].torso(plain)
    torch.testing.assert_close(encoder.torso(encoder.input_layer(packed)), expected)
    assert encoder.output_dim == 64
