"""Training of modules: the best weights are kept and described, and it stops when it should."""

import errno
import io
import json
import os
import signal
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from agents.experiment import InvalidExperiment
from agents.monitoring.event_file import EventFile
from agents.settings.pretraining import Pretraining
from agents.training.pretrain import lesson_of, pretrain, require_batch_memory, restore, schedule


class DoublingLesson:
    """Learns to double numbers; what it scores on is fixed, or what it really can."""

    score = "likeness"
    baseline: ClassVar = {"likeness": -1.0}

    def __init__(self, task: "Doubling") -> None:
        self.module = nn.Linear(1, 1)
        self.scripted = list(task.scores)

    def batch(self, random, size):
        numbers = torch.from_numpy(random.random((size, 1), np.float32))
        return {"numbers": numbers}

    def loss(self, batch):
        errors = self.module(batch["numbers"]) - 2 * batch["numbers"]
        return (errors**2).mean(), {"worst": errors.detach().abs().max()}

    def evaluate(self):
        if self.scripted:
            return {"likeness": self.scripted.pop(0)}
        numbers = torch.linspace(0, 1, 11, device=self.module.weight.device)[:, None]
        return {"likeness": -(self.module(numbers) - 2 * numbers).abs().max().item()}

    def pictures(self):
        return {"grey": np.full((4, 4, 3), 128, np.uint8)}


@dataclass(frozen=True)
class Doubling:
    scores: tuple[float, ...] = ()
    refuses: bool = False
    name: str = "doubling"

    def lesson(self) -> DoublingLesson:
        if self.refuses:
            raise ValueError("There are no numbers.")
        return DoublingLesson(self)


def training(folder: Path, **changes) -> Pretraining:
    base = Pretraining(
        Doubling(),
        total_steps=400,
        learning_rate=0.05,
        evaluate_every_steps=50,
        run_dir=str(folder),
    )
    return replace(base, **changes)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


def test_it_learns_and_says_how_well(tmp_path: Path) -> None:
    result = pretrain(training(tmp_path / "run"))
    assert result.metrics["likeness"] > -0.1  # 2 times too little would be -2
    told = json.loads((tmp_path / "run" / "module.json").read_text())
    assert told["held_out"] == result.metrics
    assert told["baseline"] == {"likeness": -1.0}
    assert (told["name"], told["score"], told["parameters"]) == ("doubling", "likeness", 2)
    assert told["git_commit"]
    lesson = lesson_of(Doubling())
    restore(lesson, tmp_path / "run")
    assert lesson.evaluate() == result.metrics, "the weights on the disk are those that scored so"
    assert [
        line["step"] for line in lines(tmp_path / "run") if "held-out/likeness" in line
    ] == list(range(50, 401, 50))
    assert any("tfevents" in path.name for path in (tmp_path / "run").iterdir())


def test_events_have_metrics_and_pictures(tmp_path: Path) -> None:
    pretrain(training(tmp_path / "run", total_steps=50))
    events = EventAccumulator(str(tmp_path / "run"), {"images": 0}).Reload()
    (picture,) = events.Images("held-out/grey")
    assert (picture.step, picture.width, picture.height) == (50, 4, 4)
    pixels = np.asarray(Image.open(io.BytesIO(picture.encoded_image_string)))
    np.testing.assert_array_equal(pixels, np.full((4, 4, 3), 128))
    (score,) = events.Scalars("held-out/likeness")
    told = next(line for line in lines(tmp_path / "run") if "held-out/likeness" in line)
    assert score.value == pytest.approx(told["held-out/likeness"])


def test_a_full_disk_is_an_error_of_the_training(tmp_path: Path, monkeypatch) -> None:
    """Not of a thread, which would print a traceback and let the training go on."""

    def full(file: EventFile, values: dict[str, float], step: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(EventFile, "add_scalars", full)
    threads = threading.active_count()
    with pytest.raises(OSError, match="No space left on device"):
        pretrain(training(tmp_path / "run"))
    assert threading.active_count() == threads


def test_a_seed_decides_the_weights(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        pretrain(training(tmp_path / name, seed=seed, total_steps=50))
    one, same, other = (
        load_file(tmp_path / name / "module.safetensors") for name in ("one", "same", "other")
    )
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one)


def test_the_best_weights_are_kept_and_patience_ends(tmp_path: Path) -> None:
    scores = (0.1, 0.5, 0.4, 0.5, 0.3, 0.9)
    result = pretrain(training(tmp_path / "run", task=Doubling(scores), patience=3))
    assert (result.step, result.metrics) == (100, {"likeness": 0.5})
    assert [line["held-out/likeness"] for line in lines(tmp_path / "run") if "held-out/likeness" in line] == [
        0.1, 0.5, 0.4, 0.5, 0.3,
    ]  # fmt: skip
    assert json.loads((tmp_path / "run" / "module.json").read_text())["held_out"] == {
        "likeness": 0.5
    }


def test_an_interrupt_leaves_a_module_that_can_be_used(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "run" / "module.safetensors").exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    result = pretrain(training(tmp_path / "run", total_steps=10**7))
    assert result.metrics["likeness"] > -2.0
    assert (tmp_path / "run" / "module.json").exists()
    assert lines(tmp_path / "run")[-1]["step"] < 10**7


def test_the_learning_rate_rises_and_falls() -> None:
    assert schedule(0.025) == pytest.approx(0.5, abs=0.01)
    assert schedule(0.05) == pytest.approx(0.99, abs=0.01)
    assert schedule(1.0) == pytest.approx(0.0)
    falling = [schedule(done) for done in np.linspace(0.05, 1, 20)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"total_steps": 0}, "--total-steps must be a whole number from 1 to"),
        ({"patience": 0}, "--patience must be a whole number from 1 to"),
        ({"learning_rate": 0.0}, "--learning-rate must be a number above 0 and at most 1, not 0"),
        (
            {"learning_rate": float("inf")},
            "--learning-rate must be a number above 0 and at most 1, not inf",
        ),
        (
            {"learning_rate": float("nan")},
            "--learning-rate must be a number above 0 and at most 1, not nan",
        ),
        ({"weight_decay": -1.0}, "--weight-decay must be a number from 0 to 1,000,000,000, not -1"),
        ({"weight_decay": float("nan")}, "--weight-decay must be a number from 0 to .*, not nan"),
        (
            {"batch_size": 10**15},
            "--batch-size must be a whole number from 1 to 1,048,576, not 1,000,000,000,000,000",
        ),
        ({"seed": -1}, "--seed must be a whole number from 0 to 4,294,967,295, not -1"),
        ({"task": Doubling(refuses=True)}, "There are no numbers"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(changes, told, tmp_path: Path) -> None:
    with pytest.raises(InvalidExperiment, match=told):
        pretrain(training(tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_a_batch_that_does_not_fit_into_the_memory_is_refused() -> None:
    with pytest.raises(
        InvalidExperiment, match=r"--batch-size 1,000,.* takes .* MiB of memory are free"
    ):
        require_batch_memory(Doubling().lesson(), 10**15)


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "dear").write_text("mine")
    with pytest.raises(InvalidExperiment, match="exists already"):
        pretrain(training(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["dear"]


def test_numbers_that_are_none_end_it(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"lower --learning-rate"):
        pretrain(training(tmp_path / "run", learning_rate=1.0, weight_decay=1e9, total_steps=100))


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_number_ends_it_before_weights_are_kept(
    score, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(DoublingLesson, "evaluate", lambda lesson: {"likeness": score})
    with pytest.raises(
        FloatingPointError, match=rf"likeness became {score} after 50 steps; lower --learning-rate"
    ):
        pretrain(training(tmp_path / "run"))
    assert not (tmp_path / "run" / "module.safetensors").exists()


def test_a_metric_that_is_no_number_is_null_in_the_log(tmp_path: Path, monkeypatch) -> None:
    loss = DoublingLesson.loss

    def with_nan(self, batch):
        value, terms = loss(self, batch)
        return value, terms | {"strange": torch.tensor(float("nan"))}

    monkeypatch.setattr(DoublingLesson, "loss", with_nan)
    pretrain(training(tmp_path / "run", total_steps=50))
    assert "NaN" not in (tmp_path / "run" / "progress.jsonl").read_text()
    assert any(line.get("train/strange", 0) is None for line in lines(tmp_path / "run"))


def test_weights_of_a_training_that_broke_off_in_between_are_not_kept(
    tmp_path: Path, monkeypatch
) -> None:
    """The loss becomes NaN after the first evaluation: the second one must not see what it made of
    the weights."""
    whole = DoublingLesson.loss
    steps = iter(range(1, 10**6))

    def loss(lesson, batch):
        value, terms = whole(lesson, batch)
        return (value * float("nan") if next(steps) > 60 else value), terms

    monkeypatch.setattr(DoublingLesson, "loss", loss)
    with pytest.raises(FloatingPointError, match="The loss became nan after 100 steps"):
        pretrain(training(tmp_path / "run", task=Doubling((0.1, 0.9))))
    kept = load_file(tmp_path / "run" / "module.safetensors")
    assert all(torch.isfinite(values).all() for values in kept.values())


def test_two_trainings_do_not_share_a_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agents.training.pretrain.time.strftime", lambda *form: "now")
    first = pretrain(training(Path(), run_dir="", total_steps=1))
    second = pretrain(training(Path(), run_dir="", total_steps=1))
    assert [first.folder.name, second.folder.name] == ["doubling-now", "doubling-now-2"]


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300])
def test_a_folder_that_cannot_be_made_is_told_before_anything_is_written(
    place, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidExperiment):
        pretrain(training(tmp_path / place))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    pretrain(training(tmp_path / "run", total_steps=50))
    weights = load_file(tmp_path / "run" / "module.safetensors")
    save_file(
        {name: values * float("nan") for name, values in weights.items()},
        tmp_path / "run" / "module.safetensors",
    )
    with pytest.raises(InvalidExperiment, match="has numbers that are not finite"):
        restore(lesson_of(Doubling()), tmp_path / "run")
    (tmp_path / "run" / "module.safetensors").write_bytes(b"")
    with pytest.raises(InvalidExperiment, match="does not hold this module's weights"):
        restore(lesson_of(Doubling()), tmp_path / "run")


def test_another_modules_weights_are_refused(tmp_path: Path) -> None:
    pretrain(training(tmp_path / "run", total_steps=50))
    lesson = lesson_of(Doubling())
    lesson.module = nn.Linear(2, 1)
    with pytest.raises(InvalidExperiment, match="does not hold this module's weights"):
        restore(lesson, tmp_path / "run")
