"""What is seen without learning: aliens counted by connected components, noise taken away by
filters, of screens and of photographs.

python scripts/make_frames.py            # runs/frames/SpaceInvaders.npz
python benchmarks/seeing.py              # results/seeing/classical.json
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images
from speed import surroundings

from perception.classical.components import Components, count_of_size
from perception.classical.filters import (
    FILTERS,
    from_wavelets,
    from_waves,
    signal_to_noise,
    to_bytes,
    to_wavelets,
    to_waves,
)
from perception.vision.frames import Frames, load_frames, resized

NOISE = 25.0
FIELD = slice(22, 185)  # rows where aliens are, above the player
ALIEN = ((5, 9), (5, 11))  # pixels, of its width and height


def main(
    data: Path = ROOT / "runs" / "frames" / "SpaceInvaders.npz",
    screens: int = 500,
    output: Path = ROOT / "benchmarks" / "results" / "seeing" / "classical.json",
) -> None:
    """Measures on held-out screens.

    Args:
        data: Of scripts/make_frames.py.
        screens: How many of the held-out ones, spread over their episodes.
        output: The numbers.
    """
    train, test = load_frames(data)
    rows = np.linspace(0, len(test) - 1, min(screens, len(test))).astype(int)
    told = {
        "command": " ".join(["python benchmarks/seeing.py", *sys.argv[1:]]),
        **surroundings(),
        "aliens": counted(train, test.rows(rows)),
        "noise": {
            str(size or "whole"): cleaned(screens_of(test.rows(rows[::10]), size))
            for size in (0, 84)
        }
        | {"photographs": cleaned(photographs())},
        "inverse": inverse_errors(test.rows(rows[:10])),
    }
    output.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


def counted(train: Frames, test: Frames) -> dict[str, float]:
    """Mean absolute error of the number of aliens, in greys that vary; beside always saying the
    usual number."""
    true = aliens_of(test)
    usual = np.median(aliens_of(train))
    images = test.greys(np.random.default_rng(0))[:, 0].numpy()
    started = time.perf_counter()
    found = np.array([count_of_size(Components().boxes(image[FIELD]), *ALIEN) for image in images])
    return {
        "mean_absolute_error": float(np.abs(found - true).mean()),
        "exact": float((found == true).mean()),
        "baseline_mean_absolute_error": float(np.abs(usual - true).mean()),
        "milliseconds": 1_000 * (time.perf_counter() - started) / len(images),
    }


def aliens_of(frames: Frames) -> NDArray[np.int64]:
    aliens = frames.boxes[frames.boxes[:, 1] == frames.class_names.index("alien"), 0]
    return np.bincount(aliens, minlength=len(frames))


def screens_of(test: Frames, size: int) -> NDArray[np.uint8]:
    return resized(test.greys(None), size)[:, 0].numpy()


def photographs() -> NDArray[np.uint8]:
    """Both photographs of scikit-learn, grey, in pieces of 210x160 as a screen is."""
    whole = [
        cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY) for photograph in load_sample_images().images
    ]
    pieces = [
        own[top : top + 210, left : left + 160]
        for own in whole
        for top in range(0, own.shape[0] - 209, 210)
        for left in range(0, own.shape[1] - 159, 160)
    ]
    return np.stack(pieces)


def cleaned(clean: NDArray[np.uint8]) -> dict[str, dict[str, float]]:
    """Decibels that each filter brings, over the noisy image, and milliseconds an image."""
    random = np.random.default_rng(0)
    noisy = [to_bytes(image + random.normal(0, NOISE, image.shape)) for image in clean]
    before = np.mean(
        [signal_to_noise(image, true) for image, true in zip(noisy, clean, strict=True)]
    )
    return {name: gain(run, noisy, clean, float(before)) for name, run in FILTERS.items()}


def gain(run: Callable[..., Any], noisy: list, clean: NDArray, before: float) -> dict[str, float]:
    started = time.perf_counter()
    after = [run(image, NOISE) for image in noisy]
    milliseconds = 1_000 * (time.perf_counter() - started) / len(noisy)
    ratio = np.mean(
        [signal_to_noise(image, true) for image, true in zip(after, clean, strict=True)]
    )
    return {"decibels": float(ratio) - before, "milliseconds": milliseconds}


def inverse_errors(test: Frames) -> dict[str, float]:
    images = test.greys(None)[:, 0].numpy()
    waves = [np.abs(from_waves(to_waves(image), image.shape) - image).max() for image in images]
    wavelets = [
        np.abs(from_wavelets(to_wavelets(image), image.shape) - image).max() for image in images
    ]
    return {"fourier": float(max(waves)), "wavelet": float(max(wavelets))}


if __name__ == "__main__":
    tyro.cli(main)
