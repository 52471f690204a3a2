"""A sweep with a killed trial, and one that was stopped, ends with all its results; pickles in its folder stay shut."""

import json
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from agents.checkpoint import finished_checkpoints

ROOT = Path(__file__).parents[2]
TRIALS = 4
SMALL = ("--total-env-steps", "4096", "--evaluate-every-env-steps", "2048", "--evaluation-episodes", "2")


def tune(*arguments: str, log: Path) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "scripts" / "tune_agent.py"), *arguments]
    with log.open("a") as output:
        return subprocess.Popen(command, stdout=output, stderr=output)


def wait_for(condition, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def plant_pickles(folder: Path, touched: Path) -> None:
    """Puts a pickle wherever Ray Tune keeps one, and beside everything that a sweep keeps."""
    names = ("tuner.pkl", "trainable.pkl", "params.pkl", "error.pkl", "searcher-state.pkl", "search_gen_state-1.json")
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
    folder, log = tmp_path / "sweep", tmp_path / "log"
    settings = ("--trials", str(TRIALS), "--at-a-time", "2", "--reduction", "2", "--vary", "learning_rate", "clip")
    process = tune("--env", "CartPole-v1", *settings, *SMALL, "--run-dir", str(folder), log=log)

    def trials_with_checkpoints() -> list[Path]:
        return [run for run in folder.glob("trial-*") if finished_checkpoints(run / "checkpoints")]

    wait_for(lambda: len(trials_with_checkpoints()) >= 1, process, log)
    actors = [p for p in psutil.Process(process.pid).children(recursive=True) if "ImplicitFunc" in p.name()]
    actors[0].kill()
    wait_for(lambda: len(trials_with_checkpoints()) >= 2, process, log)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0, log.read_text()
    assert "Stopped and saved. Go on with:" in log.read_text()

    assert not list(folder.glob("**/*.pkl")), "nothing pickled is left"
    ended = [trial for trial in json.loads((folder / "sweep.json").read_text())["trials"] if trial["ended"]]
    plant_pickles(folder, tmp_path / "touched")

    process = tune("--resume", str(folder), log=log)
    assert process.wait(timeout=250) == 0, log.read_text()
    assert not (tmp_path / "touched").exists()
    trials = json.loads((folder / "sweep.json").read_text())["trials"]
    assert len(trials) == TRIALS, log.read_text()
    assert all(trial["ended"] in ("whole", "early") for trial in trials), trials
    assert [trial["best"] for trial in trials] == sorted((trial["best"] for trial in trials), reverse=True)
    assert trials[0]["best"] > 25  # a random policy's return is 22
    assert all(trial in trials for trial in ended), "what had ended is as it was"
    best = folder / trials[0]["run"]
    assert json.loads((best / "best.json").read_text())["mean"] == trials[0]["best"]
    assert (best / "experiment.json").exists()
