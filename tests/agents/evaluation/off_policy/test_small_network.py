"""What a small network reads of observations."""

import numpy as np
import torch

from agents.evaluation.off_policy.small_network import SmallNetwork, flat


def test_vectors_are_read_as_they_are() -> None:
    seen = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    np.testing.assert_array_equal(flat(seen, 2), seen.astype(np.float32))
    np.testing.assert_array_equal(flat(seen, 1), seen.reshape(2, 12))


def test_seconds_of_timestamps_are_told_apart() -> None:
    """Float32's numbers are 128 apart at 1.7e9, so that these would all be the same."""
    clock = (1.7e9 + np.arange(5.0))[:, None]
    seen = flat(clock, 1)
    np.testing.assert_array_equal(seen, clock)
    network = SmallNetwork(seen, 2, seed=0)
    network.layers = torch.nn.Sequential(torch.nn.Identity())
    standardized = network(torch.from_numpy(seen))
    np.testing.assert_allclose(standardized[:, 0], (np.arange(5) - 2) / np.sqrt(2), rtol=1e-6)
    assert standardized.dtype == torch.float32


def test_images_are_read_as_means_of_fields() -> None:
    image = np.zeros((1, 2, 1, 64, 64), np.uint8)
    image[0, 1, 0, 4:8, 60:64] = 200  # the second row's last field
    image[0, 0, 0, 0, 0] = 160  # a sixteenth of the first field
    fields = flat(image, 2).reshape(2, 16, 16)
    assert fields.dtype == np.float32
    assert fields[1, 1, 15] == 200
    assert fields[0, 0, 0] == 10
    assert fields.sum() == 210


def test_small_images_keep_their_pixels_and_odd_ones_lose_the_rest() -> None:
    assert flat(np.ones((5, 3, 7, 7)), 1).shape == (5, 3 * 7 * 7)
    assert flat(np.ones((5, 1, 84, 40)), 1).shape == (5, 16 * 16)
