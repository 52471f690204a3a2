"""Classification: which game a screen is of, by a residual network (He et al. 2016)."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.encoders.cnn import FlattenPixels
from perception.encoders.frozen import Frozen
from perception.encoders.mlp import orthogonal
from perception.settings.tasks import ClassifierTask
from perception.vision.backbones import classifying
from perception.vision.frames import Frames, prepared, resized

IMAGES_AT_A_TIME = 64


class ClassifierLesson:
    score = "accuracy"

    def __init__(self, task: ClassifierTask, train: Frames, test: Frames) -> None:
        self.train = train
        self.size = task.size
        self.module = classifying(task.backbone, len(train.names))
        self.test_images = resized(
            test.greys(np.random.default_rng(0)), task.size
        )  # the same at each evaluation
        self.test_games = torch.from_numpy(test.games)

    @property
    def baseline(self) -> dict[str, float]:
        """Of the game whose mean screen is nearest."""
        some = self.train.rows(
            np.random.default_rng(1).integers(len(self.train), size=min(2_000, len(self.train)))
        )
        images = prepared(resized(some.greys(np.random.default_rng(2)), self.size)).flatten(1)
        means = torch.stack(
            [images[some.games == game].mean(0) for game in range(len(self.train.names))]
        )
        nearest = torch.cdist(prepared(self.test_images).flatten(1), means).argmin(1)
        return {"accuracy": (nearest == self.test_games).float().mean().item()}

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows = self.train.rows(random.integers(len(self.train), size=size))
        return {
            "images": resized(rows.greys(random), self.size),
            "games": torch.from_numpy(rows.games),
        }

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        scores = self.module(prepared(batch["images"]))
        right = (scores.detach().argmax(1) == batch["games"]).float().mean()
        return F.cross_entropy(scores, batch["games"]), {"accuracy": right}

    def evaluate(self) -> dict[str, float]:
        parts = self.test_images.split(IMAGES_AT_A_TIME)
        device = next(self.module.parameters()).device
        found = torch.cat(
            [self.module(prepared(part.to(device))).argmax(1).cpu() for part in parts]
        )
        return {"accuracy": (found == self.test_games).float().mean().item()}

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        rows = np.linspace(0, len(self.test_images) - 1, 10).astype(int)
        return {
            "seen": np.repeat(
                np.concatenate(list(self.test_images[rows, 0].numpy()), 1)[..., None], 3, 2
            )
        }


class ClassifierEncoder(nn.Module):
    """Images (B, C, H, W) uint8 -> features (B, output_dim)."""

    def __init__(self, seeing: Any, features: int, channels: int, height: int, width: int) -> None:
        super().__init__()
        maps = Frozen(ClassifierFeatureMaps(seeing), channels)
        self.input_layer = nn.Sequential(maps, nn.Flatten())
        flat = channels * maps.module(torch.zeros(1, 1, height, width, dtype=torch.uint8)).shape[1]
        self.torso = nn.Sequential(orthogonal(nn.Linear(flat, features)), nn.ReLU(inplace=True))
        self.output_dim = features

    def forward(self, images: Tensor) -> Tensor:
        return self.torso(self.input_layer(images))


class ClassifierFeatureMaps(nn.Module):
    """Frames (M, 1, H, W) uint8 -> the last layer's maps of each, while they have places still, in
    one row (M, ...)."""

    def __init__(self, seeing: Any) -> None:
        super().__init__()
        self.seeing = seeing
        self.flatten = FlattenPixels()

    def forward(self, frames: Tensor) -> Tensor:
        return self.flatten(self.seeing.forward_features(prepared(frames)))
