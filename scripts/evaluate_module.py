"""Says how good a trained module is on held-out data: python scripts/evaluate_module.py runs/modules/MODULE"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from typeguard import TypeCheckError

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.checkpoint import write_durably
from agents.experiment import InvalidExperiment, from_json, require
from agents.pretrain import DESCRIPTION, held_out, lesson_of, restore
from agents.progress import progress
from scripts.cli import main_with_clear_errors, parse
from scripts.recipes.modules import PLUGS

USAGE = """Evaluates a module on held-out data and writes evaluation.json into its folder."""


@dataclass(frozen=True)
class Settings:
    module: Path
    """The module's folder."""
    data: str = ""
    """Other data than it was trained with."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    described = settings.module / DESCRIPTION
    require(described.is_file(), f"{settings.module} is no module's folder: it has no {DESCRIPTION}.")
    try:
        trained: Any = from_json(json.loads(described.read_text())["settings"], PLUGS)
    except (ValueError, LookupError, TypeError, TypeCheckError) as damage:
        raise InvalidExperiment(f"{described} is not one of ours or is damaged: {damage}") from damage
    task = replace(trained.task, data=settings.data) if settings.data else trained.task
    lesson = lesson_of(task)
    restore(lesson, settings.module)
    with progress("evaluating on held-out data"):
        metrics, baseline = held_out(lesson), lesson.baseline
    told = {"data": task.data, "held_out": metrics, "baseline": baseline}
    write_durably(settings.module / "evaluation.json", (json.dumps(told, indent=1) + "\n").encode())
    for name, value in metrics.items():
        print(f"{name} {value:.3f} (baseline {baseline[name]:.3f})" if name in baseline else f"{name} {value:.3f}")


if __name__ == "__main__":
    main_with_clear_errors(main)
