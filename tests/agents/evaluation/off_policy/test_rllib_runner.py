"""RLlib builds our runner, hands over its weights, and reports our estimates."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from ray.rllib.algorithms.bc import BCConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.utils.metrics import OFFLINE_EVAL_RUNNER_RESULTS

from agents.engine.config import rllib_config
from agents.evaluation.off_policy.estimate import evaluate_off_policy, probabilities_of
from agents.evaluation.off_policy.rllib_runner import (
    OffPolicyRunner,
    evaluated_off_policy,
    stock_policy,
)
from agents.evaluation.policies import trained_policy
from agents.experiment import Experiment
from agents.logged.episodes import play
from agents.logged.log_file import read_log, write_log
from agents.settings.ppo import PPO
from envs.health.core.policies import random_policy
from envs.health.hiv_sti import HivConfig
from perception.settings.encoders import MLPConfig

EPISODES = 40


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short episodes, so that weights do not vanish."""
    path = tmp_path_factory.mktemp("logs") / "hiv.parquet"
    played = play(
        HivConfig(step_hours=720.0),
        lambda env: random_policy(env.ward.simulation),
        EPISODES,
        seed=1,
    )
    write_log(played, path, {"env": "hiv-sti"})
    return path


@pytest.mark.usefixtures("ray_here")
def test_in_rllib_s_own_algorithm(log: Path) -> None:
    """Behavior cloning as RLlib ships it: what its evaluation reports are our estimates of its
    module."""
    config = (
        BCConfig()
        .environment(observation_space=Box(-10.0, 10.0, (6,), np.float32), action_space=Discrete(4))
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[8]))
        .env_runners(num_env_runners=0)
        .learners(num_learners=0)
        .offline_data(input_=[str(log)], dataset_num_iters_per_learner=1)
    )
    algorithm = evaluated_off_policy(config, log).build_algo()
    reported = algorithm.evaluate_offline()[OFFLINE_EVAL_RUNNER_RESULTS]
    module = algorithm.offline_eval_runner_group.local_runner.module["default_policy"]
    episodes, _ = read_log(log)
    expected = evaluate_off_policy(
        episodes, probabilities_of(stock_policy(module), episodes), resamples=200
    )
    assert reported["episodes"] == EPISODES
    assert reported["effective_sample_size"] == pytest.approx(expected.effective_sample_size)
    for name in ("WIS", "weighted DR"):
        for bound in ("value", "low", "high"):
            got = reported["off_policy"][name][bound]
            assert got == pytest.approx(getattr(expected.estimates[name], bound), rel=1e-5), (
                name,
                bound,
            )
    assert reported["refused"] == float(bool(expected.refusal))
    algorithm.stop()


def test_with_our_own_network(log: Path) -> None:
    """The runner as RLlib constructs it, without Ray: its module is ours."""
    experiment = Experiment(
        env=HivConfig(step_hours=720.0),
        algo=PPO(rollout_length=8, minibatch_size=16),
        encoder=MLPConfig(),
        num_envs=2,
    )
    config = evaluated_off_policy(rllib_config(experiment), log).offline_data(input_=[str(log)])
    config.environment(
        observation_space=Box(-10.0, 10.0, (6,), np.float32), action_space=Discrete(4)
    )
    torch.manual_seed(0)
    runner = OffPolicyRunner(config=config, worker_index=0)
    found = runner.run()
    episodes, _ = read_log(log)
    network = runner.module["default_policy"]  # pyright: ignore
    assert probabilities_of(trained_policy(network), episodes).shape == (34, EPISODES, 4)
    assert found["episodes"].peek() == EPISODES
    # A network that learnt nothing acts nearly by chance, as the log does.
    assert found["effective_sample_size"].peek() > 0.5 * EPISODES
