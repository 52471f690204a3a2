"""SAC, TQC and CrossQ learn: in seconds, to a return that luck does not reach."""

from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.checkpoint import chosen_checkpoint
from agents.evaluation.evaluate import evaluate, load_network
from agents.training.train import train
from envs.probe import TargetConfig
from scripts.recipes import recipe_named

pytestmark = pytest.mark.usefixtures("ray_here")


@pytest.mark.parametrize("name", ["sac", "tqc", "crossq"])
def test_the_target_is_hit(name, tmp_path):
    experiment = recipe_named(name)(TargetConfig(low=50.0, high=150.0))
    algo = replace(
        experiment.algo,
        learning_starts_env_steps=300,
        hidden_sizes=(32, 32),
        critic_hidden_sizes=(64, 64),
        batch_size=64,
        learning_rate=3e-3,
        discount=0.5,
    )
    run_dir = tmp_path / "run"
    experiment = replace(
        experiment,
        algo=algo,
        total_env_steps=2_000,
        evaluate_every_env_steps=0,
        run_dir=str(run_dir),
    )
    train(experiment)
    checkpoint = chosen_checkpoint(run_dir, "latest")
    network = load_network(experiment, checkpoint)
    result = evaluate(
        experiment, network, episodes=20, seed=7, deterministic=True, checkpoint=checkpoint.name
    )
    assert result.mean > 9.0  # of 10; a random policy's is 3.3


class LaggedEnv(gymnasium.Env):
    """Shows a number at each step, and is rewarded with 1 - |action - number| for the number of the
    step before. Ten answers an episode: a policy without a memory has at most about 5."""

    observation_space = Box(-1.0, 1.0, (1,), np.float32)
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.clock = 0
        self.asked = self.shown = np.zeros(1, np.float32)
        return self._draw(), {}

    def step(self, action: Any):
        self.clock += 1
        reward = 1.0 - abs(float(action[0] - self.asked[0]))
        return self._draw(), reward, False, self.clock == 10, {}

    def _draw(self):
        self.asked = self.shown
        self.shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.shown


@dataclass(frozen=True)
class LaggedConfig:
    name: str = "lagged"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return LaggedEnv()

    def build_vector(self, num_envs: int) -> SyncVectorEnv:
        return SyncVectorEnv([LaggedEnv] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def test_what_was_shown_before_is_remembered(tmp_path):
    experiment = recipe_named("recurrent-sac")(LaggedConfig())
    algo = replace(
        experiment.algo,
        learning_starts_env_steps=300,
        hidden_sizes=(32, 32),
        learning_rate=3e-3,
        discount=0.0,
        burn_in=2,
    )
    run_dir = tmp_path / "run"
    experiment = replace(
        experiment,
        algo=algo,
        memory=replace(experiment.memory, units=16, steps=8),
        total_env_steps=5_000,
        evaluate_every_env_steps=0,
        run_dir=str(run_dir),
    )
    train(experiment)
    checkpoint = chosen_checkpoint(run_dir, "latest")
    network = load_network(experiment, checkpoint)
    result = evaluate(
        experiment, network, episodes=20, seed=7, deterministic=True, checkpoint=checkpoint.name
    )
    assert result.mean > 8.0
