"""Classification: learning what greys alone do not tell, and its maps in an agent."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from perception.settings.module_encoders import ClassifierEncoderConfig
from perception.settings.tasks import ClassifierTask
from perception.vision.backbones import classifying
from perception.vision.frames import Frames, save_frames
from tests.perception.vision.drawings import squares, write_module

AGENT_SEES = Box(0, 255, (4, 84, 84), np.uint8)


def games(size: int, seed: int) -> Frames:
    """Screens with a square and a cross, of the game "plain" or upside down, where the cross is on
    the left."""
    drawn, random = squares(size, seed), np.random.default_rng(seed)
    turned = random.random(size) < 0.5
    drawn.screens[turned] = drawn.screens[turned][:, :, ::-1]
    palettes = np.concatenate([drawn.palettes] * 2)
    return replace(
        drawn, games=turned.astype(np.int64), names=("plain", "turned"), palettes=palettes
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("frames") / "games.npz"
    save_frames(path, games(128, 0), games(40, 1))
    return str(path)


def test_it_learns_which_game_a_screen_is_of(data: str) -> None:
    torch.manual_seed(0)
    lesson = ClassifierTask(data=data, size=40).lesson()
    random = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(lesson.module.parameters(), 1e-3)
    for _ in range(60):
        lesson.module.train()
        loss, _ = lesson.loss(lesson.batch(random, 16))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lesson.module.eval()
    with torch.no_grad():
        assert lesson.evaluate()["accuracy"] > 0.9
    assert 0.0 <= lesson.baseline["accuracy"] <= 1.0
    assert lesson.pictures()["seen"].shape == (40, 10 * 40, 3)


def test_an_agent_reads_the_maps_of_each_frame(tmp_path: Path) -> None:
    seeing = classifying("resnet10t", 2)
    write_module(tmp_path, seeing, "classifier", {"backbone": "resnet10t"})
    encoder = ClassifierEncoderConfig(weights=str(tmp_path), features=16).build(AGENT_SEES)
    frames = torch.randint(256, (2, 4, 84, 84), dtype=torch.uint8)
    encoder.train()
    maps = encoder.input_layer(frames)
    assert maps.shape == (2, 4 * 3 * 3 * 512)
    assert encoder(frames).shape == (2, 16)
    other = frames.clone()
    other[:, 1] = 0
    moved = (encoder.input_layer(other) != maps).reshape(2, 4, -1).any(-1)
    assert moved.tolist() == [[False, True, False, False]] * 2  # each frame has its own part


def test_one_game_alone_cannot_be_told_apart(tmp_path: Path) -> None:
    save_frames(tmp_path / "one.npz", squares(4, 0), squares(2, 1))
    with pytest.raises(ValueError, match="has screens of Game alone"):
        ClassifierTask(data=str(tmp_path / "one.npz")).lesson()
