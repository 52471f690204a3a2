"""A module's folder that a stranger wrote is told of in one line, whatever is wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from safetensors.torch import save_file

from perception.settings.module_encoders import UNetEncoderConfig
from perception.vision.unet import UNet
from tests.damaged_modules import DESCRIPTIONS, TEXTS, WEIGHTS, change, damage_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    module = UNet(1, 3, (4, 8), True)
    task = {"size": 84, "widths": [4, 8], "skips": True}
    save_file(
        {name: value.contiguous() for name, value in module.state_dict().items()},
        tmp_path / "module.safetensors",
    )
    described = {"format": "praxis-module-1", "name": "unet", "settings": {"task": task}}
    (tmp_path / "module.json").write_text(json.dumps(described))
    return tmp_path


def build(folder: Path) -> None:
    """The encoder that an agent would have."""
    UNetEncoderConfig(weights=str(folder)).build(Box(0, 255, (4, 84, 84), np.uint8))


def require_refusal(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"holds no trained unet|weights of another network"
    ) as refusal:
        build(folder)
    assert "\n" not in str(refusal.value)


def test_a_whole_one_is_read(folder: Path) -> None:
    build(folder)


@pytest.mark.parametrize("wrong", DESCRIPTIONS)
def test_a_description_of_another_kind_is_refused(folder: Path, wrong: str) -> None:
    change(folder, *DESCRIPTIONS[wrong])
    require_refusal(folder)


@pytest.mark.parametrize("wrong", TEXTS)
def test_a_description_that_is_none_is_refused(folder: Path, wrong: str) -> None:
    (folder / "module.json").write_text(TEXTS[wrong])
    require_refusal(folder)


@pytest.mark.parametrize("wrong", WEIGHTS)
def test_weights_that_are_none_are_refused(folder: Path, wrong: str) -> None:
    damage_weights(folder, wrong)
    require_refusal(folder)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("size", "84"),
        ("size", None),
        ("widths", 3),
        ("widths", ["4"]),
        ("widths", []),
        ("widths", [0]),
        ("widths", [10**9, 8]),
        ("widths", [8, 4]),
        ("skips", 1),
        ("skips", False),
    ],
)
def test_settings_that_its_network_cannot_have_are_refused(
    folder: Path, setting: str, value
) -> None:
    change(folder, ("settings", "task", setting), value)
    require_refusal(folder)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    save_file({"one.weight": torch.zeros(3)}, folder / "module.safetensors")
    require_refusal(folder)
