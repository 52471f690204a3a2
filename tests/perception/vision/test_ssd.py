"""Default boxes on maps of several scales: learning, and a place in an agent."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from perception.settings.module_encoders import ListEncoderConfig, SSDEncoderConfig
from perception.settings.tasks import SSDTask
from perception.vision.frames import save_frames
from perception.vision.ssd import SSD
from tests.perception.vision.drawings import squares, write_module

AGENT_SEES = Box(0, 255, (4, 84, 84), np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("frames") / "squares.npz"
    save_frames(path, squares(64, 0), squares(16, 1))
    return str(path)


def test_it_learns_where_things_are(data: str) -> None:
    torch.manual_seed(0)
    lesson = SSDTask(data=data, maps=2).lesson()
    random = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(lesson.module.parameters(), 3e-3)
    lesson.module.train()
    for _ in range(80):
        loss, _ = lesson.loss(lesson.batch(random, 16))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lesson.module.eval()
    metrics = lesson.evaluate()
    assert metrics["map"] > 0.8 > 0.3 > lesson.baseline["map"]
    assert lesson.pictures()["found"].shape == (40, 6 * 40, 3)


def trained_on(size: int, folder: Path) -> str:
    ssd = SSD("resnet10t", 2, 4, 84, 84)
    return write_module(folder, ssd, "ssd", {"backbone": "resnet10t", "maps": 2, "size": size})


def test_an_agent_gets_a_list_of_objects(tmp_path: Path) -> None:
    config = SSDEncoderConfig(
        weights=trained_on(84, tmp_path), objects=10, reader=ListEncoderConfig(features=16)
    )
    encoder = config.build(AGENT_SEES)
    frames = torch.randint(256, (3, 4, 84, 84), dtype=torch.uint8)
    encoder.train()
    assert encoder.input_layer(frames).shape == (3, 2 * 10, 9)
    assert encoder(frames).shape == (3, 16)
    assert not any(parameter.requires_grad for parameter in encoder.input_layer.parameters())


def test_one_that_was_trained_on_whole_screens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"screens as large as the console's, not 84x84: --task\.size 84"
    ):
        SSDEncoderConfig(weights=trained_on(0, tmp_path)).build(AGENT_SEES)


@pytest.mark.parametrize("maps", [0, 4])
def test_so_many_maps_there_are_not(maps: int, data: str) -> None:
    with pytest.raises(ValueError, match="maps must be a whole number from 1 to 3"):
        SSDTask(data=data, maps=maps).lesson()
