"""Says how good a trained module is on held-out data: python scripts/evaluate_module.py
runs/modules/MODULE"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from typeguard import TypeCheckError

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.experiment import InvalidExperiment, from_json, require
from agents.interfaces import Task
from agents.monitoring.progress import progress
from agents.settings.pretraining import Pretraining
from common.files import DESCRIPTION, write_json
from scripts.cli import main_with_clear_errors, parse, require_writable
from scripts.recipes.modules import SAVED_CLASSES

USAGE = """Evaluates a module on held-out data and writes evaluation.json into its folder."""


@dataclass(frozen=True)
class Settings:
    module: Annotated[Path, tyro.conf.arg(metavar="MODULE")]
    """The module's folder."""
    data: str = ""
    """Other data than it was trained with."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    require_writable(settings.module / "evaluation.json")
    evaluate(settings.module, with_data(trained_task(settings.module), settings.data))


def evaluate(folder: Path, task: Task) -> None:
    """Prints how good the module is, and writes it into its folder."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    with progress("loading torch", at_once=True):
        from agents.training.pretrain import held_out, lesson_of, restore

    lesson = lesson_of(task)
    restore(lesson, folder)
    with progress("evaluating on held-out data"):
        metrics = held_out(lesson)
        baseline = lesson.baseline
    evaluation = {"data": getattr(task, "data", ""), "held_out": metrics, "baseline": baseline}
    write_json(folder / "evaluation.json", evaluation)
    for name, value in metrics.items():
        print(
            f"{name} {value:.3f} (baseline {baseline[name]:.3f})"
            if name in baseline
            else f"{name} {value:.3f}"
        )


def trained_task(folder: Path) -> Task:
    """The task that a module was trained for. Raises InvalidExperiment where the folder is no
    module's."""
    described = folder / DESCRIPTION
    require(described.is_file(), f"{folder} is no module's folder: it has no {DESCRIPTION}.")
    try:
        settings = from_json(json.loads(described.read_text())["settings"], SAVED_CLASSES)
        if not isinstance(settings, Pretraining):
            raise ValueError(f"it describes a {type(settings).__name__}, not a training")
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        TypeCheckError,
    ) as damage:
        raise InvalidExperiment(
            f"{described} is not one of ours or is damaged: {damage}"
        ) from damage
    return settings.task


def with_data(task: Any, data: str) -> Any:
    """The task with other data, if any is given. Raises InvalidExperiment where its data cannot be
    chosen."""
    if not data:
        return task
    require(hasattr(task, "data"), f"The data of {task.name} cannot be chosen; leave out --data.")
    return replace(task, data=data)


if __name__ == "__main__":
    main_with_clear_errors(main)
