"""Runs that are killed on a schedule (early, in the middle of a checkpoint, late) lose nothing that
a checkpoint had, and learn what they would have learnt. benchmarks/chaos.py kills more often, and
other algorithms."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from agents.checkpoint import finished_checkpoints, load_state
from agents.evaluation.evaluate import evaluate, load_network
from agents.monitoring.metrics import read_progress
from common.files import TEMPORARY
from scripts.cli import load_experiment
from tests.commands import Command

OFTEN = ("--checkpoint-every-env-steps", "500", "--evaluate-every-env-steps", "0")
PPO = (
    "--algo.rollout-length",
    "8",
    "--algo.minibatch-size",
    "64",
    "--algo.discount",
    "0",
    "--algo.epochs",
    "4",
)
DQN = (
    "--algo.learning-rate",
    "1e-3",
    "--algo.epsilon-decay-env-steps",
    "2000",
    "--algo.discount",
    "0.9",
)
RUNS = {
    "ppo": ("--env", "probe-choice", "--algo", "ppo", "--total-env-steps", "15000", *PPO),
    "dqn": ("--env", "probe-choice", "--algo", "dqn", "--total-env-steps", "8000", *DQN),
}


def right_rewards(observations: NDArray, actions: NDArray) -> NDArray:
    """What the probe gives for these actions: each row tells by itself whether it is what was
    lived."""
    return (observations.argmax(1) == actions).astype(np.float32)


def frames_of(replay: Path) -> NDArray:
    names = sorted(load_state(replay)["frames"])
    return np.concatenate([load((replay / name).read_bytes())["frames"] for name in names])


def lived(checkpoint: Path) -> tuple[NDArray, NDArray, NDArray]:
    """All observations, actions and rewards that the checkpoint's replay holds, from the run's
    first step on."""
    state = load_state(checkpoint / "replay-0")
    num_envs, done = state["kind"]["num_envs"], load_state(checkpoint)["env_steps"]
    assert state["added"] * num_envs == done
    return frames_of(checkpoint / "replay-0"), state["actions"][:done], state["rewards"][:done]


@pytest.mark.parametrize("name", RUNS)
def test_kills_cost_nothing_that_a_checkpoint_had(name: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    checkpoints = run / "checkpoints"

    def done() -> list[Path]:
        return finished_checkpoints(checkpoints) if checkpoints.exists() else []

    def train() -> Command:
        begun = (run / "experiment.json").exists()
        arguments = (
            ("--resume", str(run)) if begun else (*RUNS[name], *OFTEN, "--run-dir", str(run))
        )
        return Command("train_agent.py", *arguments, folder=tmp_path)

    def kill_when(moment: Callable[[], bool]) -> None:
        training = train()
        training.wait_until(moment, pause=0.0005)
        training.kill()
        assert "Traceback" not in training.log

    kill_when(lambda: len(done()) >= 1)
    first = load_state(done()[0])["env_steps"]
    before = lived(done()[0]) if name != "ppo" else None

    saved = (
        "state.json" if name == "ppo" else "replay-0/*"
    )  # frames, some of which are linked to the last save's

    def is_saving() -> bool:
        return any(checkpoints.glob(f"{TEMPORARY}*/{saved}"))

    kill_when(lambda: load_state(done()[0])["env_steps"] >= first + 1_000 and is_saving())
    second = load_state(done()[0])["env_steps"]
    assert second > first

    last = train()
    last.finish()
    newest = done()[0]
    steps = [line["env_steps"] for line in read_progress(run / "progress.jsonl")]
    assert {first, second} <= set(steps), "each resumed from its newest checkpoint"
    assert steps == sorted(set(steps))
    assert steps[-1] == load_state(newest)["env_steps"]
    assert "Traceback" not in last.log
    assert not list(checkpoints.glob(f"{TEMPORARY}*")), (
        "what the killed save left behind is cleared away"
    )

    if before is not None:
        after = lived(newest)
        for earlier, later in zip(before, after, strict=True):
            np.testing.assert_array_equal(
                later[:first], earlier, "the steps before the first kill are still there"
            )
        observations, actions, rewards = after
        np.testing.assert_allclose(rewards, right_rewards(observations, actions), atol=1e-6)

    experiment = load_experiment(run)
    network = load_network(experiment, newest)
    result = evaluate(
        experiment, network, episodes=20, seed=7, deterministic=True, checkpoint=newest.name
    )
    assert result.mean > 9.0  # of 10; a random policy's is 2.5
