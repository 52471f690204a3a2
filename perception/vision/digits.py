"""Digits written by hand, told apart by the fully connected layers that also balance a pole
(Alpaydin and Kaynak 1998, the data)."""

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.settings.encoders import MLPConfig

BRIGHTEST = 16.0
SHARE_TO_TEST_ON = 0.25


class DigitsLesson:
    score = "accuracy"

    def __init__(self, layers: MLPConfig) -> None:
        from sklearn.datasets import load_digits  # may not be installed

        images, digits = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(
            len(digits)
        )  # the same ones are held out each time
        self.images = torch.from_numpy(images[order].astype(np.float32) / BRIGHTEST)
        self.digits = torch.from_numpy(digits[order].astype(np.int64))
        self.held_out = int(SHARE_TO_TEST_ON * len(order))
        encoder = layers.build(Box(0, 1, (images.shape[1],), np.float32))
        self.module = nn.Sequential(encoder, nn.Linear(encoder.output_dim, 10))

    @property
    def baseline(self) -> dict[str, float]:
        """Of the digit whose mean image is nearest."""
        images = self.images[self.held_out :]
        digits = self.digits[self.held_out :]
        means = torch.stack([images[digits == digit].mean(0) for digit in range(10)])
        nearest = torch.cdist(self.images[: self.held_out], means).argmin(1)
        return {"accuracy": (nearest == self.digits[: self.held_out]).float().mean().item()}

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(random.integers(self.held_out, len(self.digits), size=size))
        return {"images": self.images[rows], "digits": self.digits[rows]}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        scores = self.module(batch["images"])
        right = (scores.detach().argmax(1) == batch["digits"]).float().mean()
        return F.cross_entropy(scores, batch["digits"]), {"accuracy": right}

    def evaluate(self) -> dict[str, float]:
        device = next(self.module.parameters()).device
        found = self.module(self.images[: self.held_out].to(device)).argmax(1).cpu()
        return {"accuracy": (found == self.digits[: self.held_out]).float().mean().item()}

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        seen = self.images[:20].reshape(20, 8, 8).numpy() * 255
        return {"seen": np.repeat(np.concatenate(list(seen.astype(np.uint8)), 1)[..., None], 3, 2)}
