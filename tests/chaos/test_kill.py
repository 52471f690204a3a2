"""Runs that are killed without warning go on from their last checkpoint."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from agents.checkpoint import TEMPORARY, finished_checkpoints, load_state
from agents.metrics import read_progress

ROOT = Path(__file__).parents[2]
DQN = ("--env", "SpaceInvaders", "--algo", "dqn", "--algo.learning-starts-env-steps", "100000")
FAST = ("--evaluate-every-env-steps", "0", "--checkpoint-every-env-steps", "1000", "--run-dir", "run")


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / "train_agent.py"), *arguments]


def test_sigkill_while_the_replay_is_saved_costs_no_finished_checkpoint(tmp_path: Path) -> None:
    spared = 2  # so that the save which is killed links to frames of one that is finished
    process = subprocess.Popen(
        command(*DQN, *FAST), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    checkpoints = tmp_path / "run" / "checkpoints"
    deadline = time.monotonic() + 150
    while True:  # until frames of a checkpoint after the first ones are on their way to the disk
        assert time.monotonic() < deadline
        done = finished_checkpoints(checkpoints) if checkpoints.exists() else []
        if len(done) >= spared and any(checkpoints.glob(f"{TEMPORARY}*/replay-0/*")):
            break
        time.sleep(0.0005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    survivors = finished_checkpoints(checkpoints)
    assert len(survivors) >= spared
    state = load_state(survivors[0])
    replay = load_state(survivors[0] / "replay-0")
    assert replay["added"] * 32 == state["env_steps"]

    total = state["env_steps"] + 2_000
    more = ("--total-env-steps", str(total), "--algo.learning-starts-env-steps", str(total - 1))
    resumed = subprocess.run(command("--resume", "run", *more), cwd=tmp_path, capture_output=True, timeout=150)
    assert resumed.returncode == 0, resumed.stderr.decode()
    newest = finished_checkpoints(checkpoints)[0]
    assert load_state(newest)["env_steps"] >= total
    assert load_state(newest / "replay-0")["added"] * 32 == load_state(newest)["env_steps"]
    assert not list(checkpoints.glob(f"{TEMPORARY}*")), "what the killed save left behind is cleared away"
    steps = [line["env_steps"] for line in read_progress(tmp_path / "run" / "progress.jsonl")]
    assert steps == sorted(set(steps))
