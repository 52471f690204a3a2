"""VGG16's trunk: whose weights it has, what it sees, and what that is worth."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gymnasium.spaces import Box
from torch import nn

from perception.settings.module_encoders import VGG16EncoderConfig
from perception.settings.tasks import TransferTask
from perception.vision.frames import Frames, save_frames
from perception.vision.transfer import as_photographs, cut_out, photographs_taught, trunk

AGENT_SEES = Box(0, 255, (4, 84, 84), np.uint8)


def two_games(size: int, seed: int) -> Frames:
    """Screens of one color with lines across, or upright ones."""
    random = np.random.default_rng(seed)
    games = random.integers(2, size=size)
    screens = np.zeros((size, 60, 60), np.uint8)
    for screen, game in zip(screens, games, strict=True):
        (screen if game else screen.T)[random.integers(4) :: 4] = 1
    palettes = np.zeros((2, 256, 3), np.uint8)
    palettes[:, 1] = 150
    nothing = np.zeros((size, 0, 0), np.uint8)
    return Frames(
        screens,
        games,
        np.arange(size),
        nothing,
        np.zeros((0, 6), np.int64),
        ("A", "B"),
        (),
        palettes,
    )


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "frames.npz"
    save_frames(path, two_games(40, 0), two_games(20, 1))
    return str(path)


def test_its_first_layers_look_for_edges_as_those_that_photographs_taught_do() -> None:
    torch.manual_seed(0)
    first = trunk(1, pretrained=True)[0]
    assert isinstance(first, nn.Conv2d)
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 100.0
    across = edge.transpose(2, 3)

    # Some filters answer to an upright edge and hardly to one across: none that is drawn by chance
    # is so choosy.
    def choosiness(layer: nn.Conv2d) -> float:
        upright, lying = (
            F.conv2d(x, layer.weight)[..., 2:4, 2:4].abs().mean((0, 2, 3)) for x in (edge, across)
        )
        return (upright / (lying + 1.0)).max().item()

    untaught = trunk(1, pretrained=False)[0]
    assert isinstance(untaught, nn.Conv2d)
    assert choosiness(first) > 1.5 * choosiness(untaught)


def test_all_thirteen_convolutions_are_taught() -> None:
    taught = photographs_taught()
    assert len(taught) == 13
    layers = [layer for layer in trunk(5, pretrained=True) if isinstance(layer, nn.Conv2d)]
    for layer, (weight, bias) in zip(layers, taught, strict=True):
        np.testing.assert_array_equal(layer.weight.numpy(), weight)
        np.testing.assert_array_equal(layer.bias.numpy(), bias)  # type: ignore[union-attr]
    assert not any(parameter.requires_grad for layer in layers for parameter in layer.parameters())


def test_greys_are_colored_as_the_weights_expect() -> None:
    seen = as_photographs(torch.full((1, 1, 2, 2), 110, dtype=torch.uint8))
    assert seen[0, :, 0, 0].tolist() == pytest.approx([110 - 103.939, 110 - 116.779, 110 - 123.68])


def test_pieces_are_cut_out_of_their_games_screens() -> None:
    frames = two_games(10, 0)
    pieces, games = cut_out(frames, 30, 32, np.random.default_rng(0))
    assert (pieces.shape, pieces.dtype) == ((30, 1, 32, 32), torch.uint8)
    for piece, game in zip(pieces[:, 0], games, strict=True):
        lines = piece if game else piece.T
        assert (lines == lines[:, :1]).all()


def test_one_layer_learns_what_the_trunk_sees_to_be_different(data: str) -> None:
    torch.manual_seed(0)
    lesson = TransferTask(data=data, blocks=2, piece=32, pieces=60).lesson()
    optimizer = torch.optim.Adam(lesson.module.parameters(), 3e-2)
    random = np.random.default_rng(0)
    losses = []
    for _ in range(30):
        loss, _ = lesson.loss(lesson.batch(random, 32))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert lesson.evaluate()["accuracy"] > 0.9
    assert 0.3 < lesson.baseline["accuracy"] <= 1.0


def test_an_agent_gets_maps_of_its_newest_frames() -> None:
    encoder = VGG16EncoderConfig(blocks=2, frames=2, features=16).build(AGENT_SEES)
    frames = torch.randint(256, (3, 4, 84, 84), dtype=torch.uint8)
    seen = encoder.input_layer(frames)
    assert seen.shape == (3, 2 * 128, 10, 10)
    assert encoder(frames).shape == (3, 16)
    assert not any(parameter.requires_grad for parameter in encoder.input_layer.parameters())
    older = frames.clone()
    older[:, :2] = 0
    assert torch.equal(encoder.input_layer(older), seen)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"frames": 5}, "frames must be 1 to 4"),
        ({"shrink": 0}, "shrink must be a whole number from 1 to"),
        ({"blocks": 6}, "blocks must be a whole number from 1 to 5"),
        ({"blocks": 5, "shrink": 4}, "leave nothing of 84x84"),
    ],
)
def test_settings_without_sense_are_refused(wrong: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        VGG16EncoderConfig(**wrong).build(AGENT_SEES)


@pytest.mark.parametrize("wrong", [{"piece": 16}, {"pieces": 1}, {"blocks": 0}])
def test_lessons_without_sense_are_refused(wrong: dict[str, int], data: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number from"):
        TransferTask(data=data, **wrong).lesson()
