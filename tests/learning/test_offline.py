"""From a log of a mediocre policy, CQL and IQL learn to be better than it, and than its clone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.checkpoint import chosen_checkpoint
from agents.evaluation.evaluate import evaluate, load_network
from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.training.train import train
from common.policy import Policy
from envs.probe import TargetConfig
from perception.settings.encoders import MLPConfig
from scripts.recipes import recipe_named
from tests.agents.algorithms.logs import logged

pytestmark = pytest.mark.usefixtures("ray_here")

LENGTH, LAST = 5, 20
BACK, ON, QUIT = range(3)


class CorridorEnv(gymnasium.Env):
    """Five steps on, 10 waits; whoever quits has 1; after 20 steps it is over."""

    observation_space = Box(0.0, 1.0, (LENGTH,), np.float32)
    action_space = Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.place = self.clock = 0
        return np.eye(LENGTH, dtype=np.float32)[0], {}

    def step(self, action: Any):
        self.clock += 1
        self.place = max(0, self.place + {BACK: -1, ON: 1, QUIT: 0}[int(action)])
        there = self.place == LENGTH
        seen = np.eye(LENGTH, dtype=np.float32)[min(self.place, LENGTH - 1)]
        return (
            seen,
            10.0 * there + float(action == QUIT),
            there or action == QUIT,
            self.clock == LAST,
            {},
        )


@dataclass(frozen=True)
class CorridorConfig:
    name: str = "corridor"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return CorridorEnv()

    def build_vector(self, num_envs: int) -> SyncVectorEnv:
        return SyncVectorEnv([CorridorEnv] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def wavers(env: Any) -> Policy:
    """Goes back more often than on, and sometimes quits."""
    return lambda observations, first: np.tile([0.5, 0.45, 0.05], (len(first), 1))


def too_high(env: Any) -> Policy:
    """Answers a probe's number with up to 1 more, or a little less."""
    random = np.random.default_rng(0)
    return lambda observations, first: np.clip(
        observations + random.uniform(-0.2, 1.0, observations.shape), -1, 1
    )


def learnt(
    algorithm: str, environment: Environment, path: str, run_dir: Path, **settings: Any
) -> float:
    """What the learnt policy has of an episode, without chance."""
    base = recipe_named(algorithm)(environment)
    algo: Any = base.algo
    size = {"rollout_length": 32, "minibatch_size": 128, "learning_rate": 3e-3}
    own = {} if algorithm == "bc" else {"target_rate": 0.05}
    experiment = replace(
        base,
        algo=replace(algo, demonstrations=path, **size, **own, **settings),
        encoder=MLPConfig((32,), "relu"),
        num_envs=16,
        total_env_steps=100_000,
        evaluate_every_env_steps=0,
        checkpoint_every_env_steps=100_000,
        run_dir=str(run_dir),
    )
    train(experiment)
    return played(experiment)


def played(experiment: Experiment) -> float:
    checkpoint = chosen_checkpoint(Path(experiment.run_dir), "latest")
    network = load_network(experiment, checkpoint)
    return evaluate(
        experiment, network, episodes=50, seed=7, deterministic=True, checkpoint=checkpoint.name
    ).mean


def test_a_way_that_nobody_went_to_its_end_on_purpose_is_found(tmp_path: Path) -> None:
    environment = CorridorConfig()
    path, behavior = logged(environment, wavers, tmp_path / "log.parquet", episodes=300)
    assert behavior < 4
    cloned = learnt("bc", environment, path, tmp_path / "bc")
    assert cloned < 4
    assert learnt("cql", environment, path, tmp_path / "cql", discount=0.9, alpha=0.1) == 10.0
    assert (
        learnt("iql", environment, path, tmp_path / "iql", discount=0.9, inverse_temperature=10.0)
        == 10.0
    )


def test_doses_are_learnt_from_the_better_of_those_that_were_given(tmp_path: Path) -> None:
    path, behavior = logged(TargetConfig(), too_high, tmp_path / "log.parquet", episodes=300)
    cloned = learnt("bc", TargetConfig(), path, tmp_path / "bc")
    better = learnt(
        "iql", TargetConfig(), path, tmp_path / "iql", discount=0.0, inverse_temperature=5.0
    )
    assert behavior < cloned + 1 < better
    assert better > 8.5  # of 10
