"""A runner that is killed is started again; a learner that is killed costs a run no more than what came after its last
checkpoint."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from agents.checkpoint import finished_checkpoints, load_state
from agents.metrics import read_progress

ROOT = Path(__file__).parents[2]
DQN = ("--env", "CartPole-v1", "--algo", "dqn", "--algo.learning-starts-env-steps", "500")
PROCESSES = ("--num-env-runners", "2", "--num-learners", "2")
LENGTH = ("--total-env-steps", "8000", "--checkpoint-every-env-steps", "1000", "--evaluate-every-env-steps", "0")


def test_a_run_goes_on_by_itself(tmp_path: Path) -> None:
    log, run = tmp_path / "log", tmp_path / "run"
    train = [sys.executable, str(ROOT / "scripts" / "train_agent.py"), *DQN, *PROCESSES, *LENGTH, "--run-dir", str(run)]
    with log.open("w") as output:
        process = subprocess.Popen(train, stdout=output, stderr=output)

    def alive(name: str) -> set[int]:
        return {p.pid for p in psutil.Process(process.pid).children(recursive=True) if name in p.name()}

    def kill_one(name: str, after_checkpoints: int) -> int:
        deadline = time.monotonic() + 120
        while len(finished_checkpoints(run / "checkpoints")) < after_checkpoints:
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        victims = alive(name)
        assert len(victims) == 2
        os.kill(min(victims), signal.SIGKILL)
        return min(victims)

    victim = kill_one("OffPolicyEnvRunner", after_checkpoints=1)
    deadline = time.monotonic() + 60
    while len(alive("OffPolicyEnvRunner") - {victim}) < 2:
        assert time.monotonic() < deadline, "the runner was not started again"
        time.sleep(0.1)
    kill_one("_WrappedExecutable", after_checkpoints=3)  # a learner, as RLlib wraps it
    assert process.wait(timeout=180) == 0, log.read_text()

    told = log.read_text()
    [newest] = re.findall(r"a process died \(.*going on from step-(\d+)", told)
    assert int(newest) >= 3_000
    survivor = finished_checkpoints(run / "checkpoints")[0]
    state = load_state(survivor)
    assert state["env_steps"] >= 8_000
    # Each has the steps of its own four environments, those before the death too.
    assert [load_state(survivor / f"replay-{n}")["added"] * 8 for n in range(2)] == [state["env_steps"]] * 2
    steps = [line["env_steps"] for line in read_progress(run / "progress.jsonl")]
    assert steps == sorted(set(steps))
    assert steps[-1] == state["env_steps"]
