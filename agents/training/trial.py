"""One trial of a sweep, in a process of its own, and what it shares with the others through Tune."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune

from agents.checkpoint import finished_checkpoints, link_or_copy, remove_leftovers
from agents.experiment import Experiment
from agents.monitoring.metrics import EVALUATION_RETURN_MEAN
from agents.training.folders import owned
from agents.training.sweep import with_settings
from agents.training.train import is_complete, resume, train
from common.files import TEMPORARY, write_json

ENV_STEPS = "env_steps"
"""The key of Tune's results that says how far a trial is."""
ORIGIN = "origin.json"
"""Beside a checkpoint that Tune keeps: the trial it is of, and the mean return of its
evaluation."""


def run_trial(config: dict[str, Any], experiment: Experiment, shares: bool, folder: str) -> None:
    """One trial, in a process of its own: from the beginning, from where its folder stands, or from
    what Tune has of another trial. With `shares`, others may go on from its checkpoints."""
    name = tune.get_context().get_trial_name()
    run = Path(folder) / name
    mine = replace(with_settings(experiment, config), run_dir=str(run))
    if (kept := tune.get_checkpoint()) is not None:
        with kept.as_directory() as theirs:
            if json.loads((Path(theirs) / ORIGIN).read_text())["trial"] != name:
                with owned(
                    run
                ):  # the process of this trial's last attempt may still be writing into it
                    take_over(Path(theirs), run)
    report = to_tune_with_checkpoint if shares else to_tune
    if not (run / "experiment.json").exists():
        train(mine, report)
    elif not is_complete(mine, run):
        resume(mine, run, report)


def to_tune(env_steps: int, metrics: dict[str, float], checkpoint: Path) -> None:
    """Reports an evaluation; here Tune ends trials."""
    tune.report({ENV_STEPS: env_steps, **metrics})


def to_tune_with_checkpoint(env_steps: int, metrics: dict[str, float], checkpoint: Path) -> None:
    """The same, with the checkpoint and what it was worth, for Tune to keep and to give to other
    trials."""
    run = checkpoint.parents[1]
    with tempfile.TemporaryDirectory(dir=run) as folder:
        linked(checkpoint, Path(folder) / checkpoint.name)
        origin = {
            "trial": run.name,
            "checkpoint": checkpoint.name,
            "mean": metrics[EVALUATION_RETURN_MEAN],
        }
        (Path(folder) / ORIGIN).write_text(json.dumps(origin))
        tune.report(
            {ENV_STEPS: env_steps, **metrics}, checkpoint=tune.Checkpoint.from_directory(folder)
        )


def take_over(theirs: Path, run: Path) -> None:
    """What Tune has of another trial takes the place of a run's own checkpoints, and of the best of
    them."""
    origin = json.loads((theirs / ORIGIN).read_text())
    beside = run / "checkpoints" / f"{TEMPORARY}{origin['checkpoint']}"
    remove_leftovers(run / "checkpoints")
    linked(theirs / origin["checkpoint"], beside)
    for own in finished_checkpoints(run / "checkpoints"):
        shutil.rmtree(own)
    beside.replace(run / "checkpoints" / origin["checkpoint"])
    best = {"checkpoint": origin["checkpoint"], "mean": origin["mean"]}
    write_json(run / "best.json", best, indent=None)


def linked(folder: Path, copy: Path) -> None:
    """The same files under another name."""
    shutil.copytree(
        folder, copy, copy_function=lambda source, target: link_or_copy(Path(source), Path(target))
    )
