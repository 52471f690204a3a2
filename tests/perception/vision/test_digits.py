"""Digits: the layers of an agent's encoder tell them apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from agents.training.pretrain import pretrain
from perception.settings.tasks import DigitsTask
from scripts.recipes.modules import digits


def test_nineteen_of_twenty_held_out_digits_are_told(tmp_path: Path) -> None:
    result = pretrain(replace(digits(), run_dir=str(tmp_path / "run")))
    assert result.metrics["accuracy"] >= 0.95
    assert result.metrics["accuracy"] > result.baseline["accuracy"]


def test_what_is_held_out_is_never_learnt_from() -> None:
    lesson = DigitsTask().lesson()
    held_out = {image.numpy().tobytes() for image in lesson.images[: lesson.held_out]}
    drawn = lesson.batch(np.random.default_rng(0), 2_000)["images"]
    assert not held_out & {image.numpy().tobytes() for image in drawn}
    assert torch.equal(lesson.images, DigitsTask().lesson().images)
