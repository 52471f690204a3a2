"""A sweep with a killed trial, and one that was stopped, ends with all its results; pickles in its
folder stay shut."""

import json
import os
import pickle
import signal
from pathlib import Path

from agents.checkpoint import finished_checkpoints
from tests.commands import Command, children_named

TRIALS = 4
SMALL = (
    "--total-env-steps",
    "4096",
    "--evaluate-every-env-steps",
    "2048",
    "--evaluation-episodes",
    "2",
)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def plant_pickles(folder: Path, touched: Path) -> None:
    """Puts a pickle wherever Ray Tune keeps one, and beside everything that a sweep keeps."""
    names = (
        "tuner.pkl",
        "trainable.pkl",
        "params.pkl",
        "error.pkl",
        "searcher-state.pkl",
        "search_gen_state-1.json",
    )
    trials = list(folder.glob("trial-*"))
    stores = [folder / "tune", folder / ".tune-stranger" / "tune"]
    within = [store / trial.name for store in stores for trial in trials]
    for place in (folder, *trials, *stores, *within):
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            (place / name).write_bytes(pickle.dumps(Touch(touched)))
    pickle.loads((folder / "tuner.pkl").read_bytes())
    assert touched.exists(), "unpickling touches the file"
    touched.unlink()


def test_a_killed_trial_and_a_stopped_sweep_cost_no_result(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    settings = (
        "--trials",
        str(TRIALS),
        "--at-a-time",
        "2",
        "--reduction",
        "2",
        "--vary",
        "learning_rate",
        "clip",
    )
    trials = ("--env", "CartPole-v1", *settings, *SMALL)
    sweep = Command("tune_agent.py", *trials, "--run-dir", str(folder), folder=tmp_path)

    def trials_with_checkpoints() -> list[Path]:
        return [run for run in folder.glob("trial-*") if finished_checkpoints(run / "checkpoints")]

    sweep.wait_until(lambda: len(trials_with_checkpoints()) >= 1)
    os.kill(min(children_named("ImplicitFunc", sweep.pid)), signal.SIGKILL)
    sweep.wait_until(lambda: len(trials_with_checkpoints()) >= 2)
    os.kill(sweep.pid, signal.SIGTERM)
    sweep.finish()
    assert "Stopped and saved. Go on with:" in sweep.out

    assert not list(folder.glob("**/*.pkl")), "nothing pickled is left"
    ended = [
        trial
        for trial in json.loads((folder / "sweep.json").read_text())["trials"]
        if trial["ended"]
    ]
    plant_pickles(folder, tmp_path / "touched")

    resumed = Command("tune_agent.py", "--resume", str(folder), folder=tmp_path)
    resumed.finish()
    assert not (tmp_path / "touched").exists()
    trials = json.loads((folder / "sweep.json").read_text())["trials"]
    assert len(trials) == TRIALS, resumed.log
    assert all(trial["ended"] in ("whole", "early") for trial in trials), trials
    assert [trial["best"] for trial in trials] == sorted(
        (trial["best"] for trial in trials), reverse=True
    )
    assert trials[0]["best"] > 25  # a random policy's return is 22
    assert all(trial in trials for trial in ended), "what had ended is as it was"
    best = folder / trials[0]["run"]
    assert json.loads((best / "best.json").read_text())["mean"] == trials[0]["best"]
    assert (best / "experiment.json").exists()
