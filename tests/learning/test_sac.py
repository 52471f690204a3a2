"""SAC, TQC and CrossQ learn: in seconds, to a return that luck does not reach."""

from dataclasses import replace

import pytest

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
