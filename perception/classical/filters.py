"""Filters that clean images before a network sees them: windows that slide, and transforms that can
be undone.

Gaussian and median windows, non-local means (Buades et al. 2005), the Fourier transform with
Wiener's weights, wavelets with thresholds (Donoho and Johnstone 1994)."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.encoders.cnn import NatureCNN
from perception.encoders.frozen import Frozen
from perception.settings.encoders import FilteredEncoderConfig, FilterName

Grey = NDArray[np.uint8]
WAVELET = "db2"
LEVELS = 3


def gaussian(image: Grey, noise: float) -> Grey:
    """A window that weighs by distance, the wider the more noise."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.25 + noise / 40), np.uint8)


def median(image: Grey, noise: float) -> Grey:
    """The middle one of nine pixels, for noise of single pixels."""
    return np.asarray(cv2.medianBlur(image, 3), np.uint8)


def non_local_means(image: Grey, noise: float) -> Grey:
    """The mean of places that look alike."""
    cleaned = cv2.fastNlMeansDenoising(
        image, None, h=0.9 * noise, templateWindowSize=5, searchWindowSize=15
    )
    return np.asarray(cleaned, np.uint8)


def fourier(image: Grey, noise: float) -> Grey:
    """Keeps the waves that stand out of the noise, whose deviation in each of them is noise *
    sqrt(pixels)."""
    waves = to_waves(image)
    size = np.abs(waves)
    kept = np.maximum(
        0.0, 1 - (1.2 * noise) ** 2 * image.size / np.maximum(size**2, 1e-9)
    )  # Wiener's, by each wave
    return to_bytes(from_waves(waves * kept, image.shape))


def wavelet(image: Grey, noise: float) -> Grey:
    """Shrinks details by as much as noise would bring, at each place and scale, over all shifts by
    one pixel."""
    import pywt  # may not be installed, here and below

    shifts = [(0, 0), (0, 1), (1, 0), (1, 1)]
    cleaned = np.zeros(image.shape)
    for shift in shifts:
        approximation, *details = to_wavelets(np.roll(image, shift, (0, 1)))
        shrunk = [tuple(pywt.threshold(d, 1.5 * noise, "soft") for d in level) for level in details]
        cleaned += np.roll(
            from_wavelets([approximation, *shrunk], image.shape), [-s for s in shift], (0, 1)
        )
    return to_bytes(cleaned / len(shifts))


FILTERS: dict[str, Callable[[Grey, float], Grey]] = {
    "gaussian": gaussian,
    "median": median,
    "non-local-means": non_local_means,
    "fourier": fourier,
    "wavelet": wavelet,
}
"""By name: (image (H, W), deviation of its noise in greys) -> image (H, W)."""


def to_waves(image: NDArray) -> NDArray[np.complex128]:
    """Fourier coefficients (H, W // 2 + 1) of an image of real numbers (H, W)."""
    return np.fft.rfft2(image.astype(np.float64))


def from_waves(waves: NDArray[np.complex128], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The image whose waves these are."""
    return np.fft.irfft2(waves, s=shape)


def to_wavelets(image: NDArray) -> list:
    """The image, coarse, and details by scale, the coarsest first."""
    import pywt

    return pywt.wavedec2(image.astype(np.float64), WAVELET, mode="periodization", level=LEVELS)


def from_wavelets(coefficients: list, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The image whose wavelets these are; a row or column that was added to halve it is cut off."""
    import pywt

    return pywt.waverec2(coefficients, WAVELET, mode="periodization")[: shape[0], : shape[1]]


def to_bytes(image: NDArray[np.float64]) -> Grey:
    """The image rounded to whole greys and clipped to 0 to 255."""
    return np.rint(image).clip(0, 255).astype(np.uint8)


def signal_to_noise(image: NDArray, clean: NDArray) -> float:
    """Peak signal-to-noise ratio in decibels, of greys from 0 to 255."""
    error = np.mean((image.astype(np.float64) - clean.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


class FilteredEncoder(nn.Module):
    """Images (B, C, H, W) uint8 -> features (B, output_dim)."""

    def __init__(self, config: FilteredEncoderConfig, reader: NatureCNN, channels: int) -> None:
        super().__init__()
        filtered = Frozen(Filtered(config.filter, config.noise), channels)
        self.input_layer = nn.Sequential(filtered, reader.input_layer)
        self.torso = reader.torso
        self.output_dim = reader.output_dim

    def forward(self, images: Tensor) -> Tensor:
        return self.torso(self.input_layer(images))


class Filtered(nn.Module):
    """Frames (M, 1, H, W) uint8 -> each of them cleaned (M, H, W)."""

    def __init__(self, name: FilterName, noise: float) -> None:
        super().__init__()
        self.name = name
        self.noise = noise

    def forward(self, frames: Tensor) -> Tensor:
        if self.name == "none":
            return frames[:, 0]
        cleaned = np.stack(
            [FILTERS[self.name](frame, self.noise) for frame in frames[:, 0].cpu().numpy()]
        )
        return torch.from_numpy(cleaned).to(frames.device)
