"""Filters: transforms that can be undone, noise that goes, and shapes that stay."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given
from hypothesis import strategies as st

from perception.classical.filters import (
    FILTERS,
    from_wavelets,
    from_waves,
    signal_to_noise,
    to_bytes,
    to_wavelets,
    to_waves,
)
from perception.settings.encoders import FilteredEncoderConfig

AGENT_SEES = Box(0, 255, (4, 84, 84), np.uint8)


def drawn(size: int = 84) -> np.ndarray:
    """Flat areas with sharp borders, as games have them."""
    image = np.full((size, size), 30, np.uint8)
    image[20:60, 10:40], image[40:80, 50:70] = 200, 120
    return image


@given(height=st.integers(24, 90), width=st.integers(24, 90), seed=st.integers(0, 100))
def test_what_was_transformed_comes_back(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    np.testing.assert_allclose(from_waves(to_waves(image), image.shape), image, atol=1e-6)
    np.testing.assert_allclose(from_wavelets(to_wavelets(image), image.shape), image, atol=1e-6)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("noise", [15.0, 25.0])
def test_every_filter_takes_noise_away(name: str, noise: float) -> None:
    clean = drawn()
    noisy = to_bytes(clean + np.random.default_rng(0).normal(0, noise, clean.shape))
    cleaned = FILTERS[name](noisy, noise)
    assert cleaned.shape == clean.shape
    assert cleaned.dtype == np.uint8
    assert signal_to_noise(cleaned, clean) > signal_to_noise(noisy, clean) + 1.0


def test_the_ratio_is_as_by_hand() -> None:
    clean = np.zeros((10, 10), np.uint8)
    assert signal_to_noise(clean + 255, clean) == 0.0
    assert signal_to_noise(clean + 51, clean) == pytest.approx(
        20 * np.log10(5)
    )  # a fifth of the range
    assert signal_to_noise(clean, clean) == float("inf")


def test_numbers_beyond_a_byte_are_cut_off() -> None:
    assert to_bytes(np.array([-3.0, 0.4, 0.6, 300.0])).tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("name", ["none", *FILTERS])
def test_an_agent_sees_cleaned_frames_each_by_itself(name) -> None:
    encoder = FilteredEncoderConfig(filter=name, features=16).build(AGENT_SEES)
    frames = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (2, 4, 84, 84)).astype(np.uint8)
    )
    seen = encoder.input_layer(frames)
    assert encoder(frames).shape == (2, 16)
    wanted = frames[1, 2].numpy() if name == "none" else FILTERS[name](frames[1, 2].numpy(), 25.0)
    np.testing.assert_array_equal(seen[1, 2], wanted)


def test_noise_must_be_there() -> None:
    with pytest.raises(ValueError, match="noise must be a number above 0"):
        FilteredEncoderConfig(noise=0.0).build(AGENT_SEES)
