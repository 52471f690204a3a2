"""A module's folder that a stranger wrote is told of in one line, whatever is wrong with it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from language.similarity.model import Similarity, trained_similarity
from tests.damaged_modules import DESCRIPTIONS, TEXTS, WEIGHTS, change, damage_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    module = Similarity("siamese", 4)
    task = {"kind": "siamese", "width": 4}
    save_file(module.state_dict(), tmp_path / "module.safetensors")
    described = {"format": "praxis-module-1", "name": "similarity", "settings": {"task": task}}
    (tmp_path / "module.json").write_text(json.dumps(described))
    return tmp_path


def build(folder: Path) -> None:
    trained_similarity(str(folder))


def require_refusal(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"holds no trained similarity|weights of another network"
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
        ("kind", "lstm"),
        ("kind", 3),
        ("width", "4"),
        ("width", 4.5),
        ("width", None),
        ("width", 0),
        ("width", -4),
        ("width", 10**9),
        ("width", 6),
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
