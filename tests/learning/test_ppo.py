"""PPO learns, through the recipes that users get: in seconds, to a return that luck does not
reach."""

from dataclasses import replace

import pytest

from agents.checkpoint import chosen_checkpoint
from agents.evaluation.evaluate import evaluate, load_network
from agents.settings.ppo import PPO
from agents.training.train import train
from envs.probe import TargetConfig
from perception.settings.memory import RecurrentConfig
from scripts.recipes import environment_named, recipe_named

pytestmark = pytest.mark.usefixtures("ray_here")


def learnt(environment, run_dir, **changes):
    """A run without pictures, and how its last policy plays."""
    recipe = recipe_named("ppo")(environment)
    experiment = replace(recipe, evaluate_every_env_steps=0, run_dir=str(run_dir), **changes)
    train(experiment)
    checkpoint = chosen_checkpoint(run_dir, "latest")
    network = load_network(experiment, checkpoint)
    return evaluate(
        experiment, network, episodes=20, seed=7, deterministic=True, checkpoint=checkpoint.name
    )


def test_cartpole_is_balanced(tmp_path):
    cartpole = environment_named("CartPole-v1")
    result = learnt(cartpole, tmp_path / "run", total_env_steps=32_768)
    assert result.mean >= 475  # gymnasium's own bar; a random policy's return is 22


def test_a_continuous_answer_is_found(tmp_path):
    algo = PPO(
        rollout_length=128,
        epochs=6,
        minibatch_size=64,
        learning_rate=2e-3,
        discount=0.0,
        share_encoder=False,
    )
    environment = TargetConfig(low=50.0, high=150.0)
    result = learnt(environment, tmp_path / "run", algo=algo, total_env_steps=20_480)
    assert (
        result.mean >= 9.0
    )  # of 10; a random policy's is 3.3, that of one that says 50 each time is 0
    assert result.success_rate == 1.0


def test_what_was_shown_before_is_remembered(tmp_path):
    algo = PPO(
        rollout_length=32,
        epochs=8,
        minibatch_size=128,
        learning_rate=4e-3,
        entropy_coefficient=0.01,
    )
    changes = {"algo": algo, "memory": RecurrentConfig(units=16), "total_env_steps": 10_240}
    result = learnt(environment_named("probe-recall"), tmp_path / "run", **changes)
    assert result.mean == 1.0  # every time; without a memory it is a toss of a coin
