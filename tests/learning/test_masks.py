"""With few actions possible of many, a mask lets each kind of algorithm learn in seconds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.checkpoint import chosen_checkpoint
from agents.evaluation.evaluate import evaluate, load_network
from agents.training.train import train
from envs.probe import KeysConfig
from scripts.recipes import recipe_named

pytestmark = pytest.mark.usefixtures("ray_here")


@pytest.mark.parametrize(("algorithm", "env_steps"), [("ppo", 10_240), ("dqn", 6_000)])
def test_the_right_one_of_two_keys_is_found_among_twenty(
    algorithm: str, env_steps: int, tmp_path: Path
) -> None:
    recipe = recipe_named(algorithm)(KeysConfig())
    algo: Any = replace(recipe.algo, discount=0.0)
    if algorithm == "dqn":
        algo = replace(algo, update_every_env_steps=4, epsilon_decay_env_steps=2_000)
    experiment = replace(
        recipe,
        algo=algo,
        total_env_steps=env_steps,
        evaluate_every_env_steps=0,
        max_environment_faults=0,
        run_dir=str(tmp_path / "run"),
    )
    train(experiment)
    checkpoint = chosen_checkpoint(tmp_path / "run", "latest")
    network = load_network(experiment, checkpoint)
    played = evaluate(
        experiment, network, episodes=50, seed=7, deterministic=True, checkpoint=checkpoint.name
    )
    assert played.mean > 8.0  # 5 is what chance has, among the keys that are there
