"""A runner that is killed is started again; a learner that is killed costs a run no more than what
came after its last checkpoint."""

import os
import re
import signal
from pathlib import Path

from agents.checkpoint import finished_checkpoints, load_state
from agents.monitoring.metrics import read_progress
from tests.commands import Command, children_named

DQN = ("--env", "CartPole-v1", "--algo", "dqn", "--algo.learning-starts-env-steps", "500")
PROCESSES = ("--num-env-runners", "2", "--num-learners", "2")
LENGTH = (
    "--total-env-steps",
    "8000",
    "--checkpoint-every-env-steps",
    "1000",
    "--evaluate-every-env-steps",
    "0",
)


def test_a_run_goes_on_by_itself(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = Command(
        "train_agent.py", *DQN, *PROCESSES, *LENGTH, "--run-dir", str(run), folder=tmp_path
    )

    def kill_one(name: str, after_checkpoints: int) -> int:
        training.wait_until(
            lambda: len(finished_checkpoints(run / "checkpoints")) >= after_checkpoints
        )
        victims = children_named(name, training.pid)
        assert len(victims) == 2
        os.kill(min(victims), signal.SIGKILL)
        return min(victims)

    victim = kill_one("OffPolicyEnvRunner", after_checkpoints=1)
    training.wait_until(
        lambda: len(children_named("OffPolicyEnvRunner", training.pid) - {victim}) == 2
    )
    kill_one("_WrappedExecutable", after_checkpoints=3)  # a learner, as RLlib wraps it
    training.finish()

    [newest] = re.findall(r"a process died \(.*going on from step-(\d+)", training.log)
    assert int(newest) >= 3_000
    survivor = finished_checkpoints(run / "checkpoints")[0]
    state = load_state(survivor)
    assert state["env_steps"] >= 8_000
    # Each has the steps of its own four environments, those before the death too.
    assert [load_state(survivor / f"replay-{n}")["added"] * 8 for n in range(2)] == [
        state["env_steps"]
    ] * 2
    steps = [line["env_steps"] for line in read_progress(run / "progress.jsonl")]
    assert steps == sorted(set(steps))
    assert steps[-1] == state["env_steps"]
