"""DDPG and TD3 learn: in seconds, to a return that luck does not reach."""

from dataclasses import replace

import pytest

from agents.checkpoint import chosen_checkpoint
from agents.evaluation.evaluate import evaluate, load_network
from agents.training.train import train
from envs.probe import TargetConfig
from scripts.recipes import recipe_named

pytestmark = pytest.mark.usefixtures("ray_here")


def played(experiment, run_dir):
    """How the last policy of a run plays, without noise."""
    experiment = replace(experiment, evaluate_every_env_steps=0, run_dir=str(run_dir))
    train(experiment)
    checkpoint = chosen_checkpoint(run_dir, "latest")
    network = load_network(experiment, checkpoint)
    return evaluate(
        experiment, network, episodes=20, seed=7, deterministic=True, checkpoint=checkpoint.name
    )


@pytest.mark.parametrize("name", ["ddpg", "td3"])
def test_the_target_is_hit(name, tmp_path):
    experiment = recipe_named(name)(TargetConfig(low=50.0, high=150.0))
    algo = replace(
        experiment.algo, learning_starts_env_steps=500, hidden_sizes=(64, 64), discount=0.5
    )
    result = played(replace(experiment, algo=algo, total_env_steps=3_000), tmp_path / "run")
    assert (
        result.mean > 9.0
    )  # of 10; a random policy's is 3.3, that of one that says 50 each time is 0
