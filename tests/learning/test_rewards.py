"""Agents learn from reward models alone: in seconds, to a true return that luck does not reach."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from agents.checkpoint import chosen_checkpoint
from agents.evaluation.evaluate import evaluate, load_network
from agents.training.train import train
from perception.settings.rewards import DiscriminatorRewardConfig
from scripts.recipes import environment_named, recipe_named

pytestmark = pytest.mark.usefixtures("ray_here")

SIZE = 1_000
CHANGES = {
    "ppo": {"rollout_length": 128, "minibatch_size": 64, "learning_rate": 1e-3, "discount": 0.0},
    "dqn": {
        "n_step": 1,
        "learning_rate": 1e-3,
        "epsilon_decay_env_steps": 2_000,
        "discount": 0.0,
        "batch_size": 64,
    },
    "ddpg": {
        "compile_losses": False,
        "learning_starts_env_steps": 500,
        "hidden_sizes": (64, 64),
        "discount": 0.0,
    },
}
LENGTH = {"ppo": 24_576, "dqn": 5_000, "ddpg": 3_000}


def shown_answers(path, discrete: bool) -> str:
    """Right answers to the probes: the number of the sign, or the number that is shown."""
    generator = torch.Generator().manual_seed(0)
    if discrete:
        actions = torch.randint(4, (SIZE,), generator=generator)
        observations = torch.eye(4)[actions]
    else:
        observations = actions = torch.rand(SIZE, 1, generator=generator) * 2 - 1
    save_file({"observations": observations, "actions": actions.clone()}, path)
    return str(path)


@pytest.mark.parametrize("name", ["ppo", "dqn", "ddpg"])
def test_what_was_shown_is_done_without_any_reward_of_the_environment(name, tmp_path):
    probe = "probe-target" if name == "ddpg" else "probe-choice"
    experiment = recipe_named(name)(environment_named(probe))
    experiment = replace(
        experiment,
        algo=replace(experiment.algo, **CHANGES[name]),
        reward=DiscriminatorRewardConfig(
            shown_answers(tmp_path / "shown", name != "ddpg"),
            learning_rate=1e-3,
            gradient_penalty=1.0,
        ),
        total_env_steps=LENGTH[name],
        evaluate_every_env_steps=0,
        run_dir=str(tmp_path / "run"),
    )
    train(experiment)
    checkpoint = chosen_checkpoint(tmp_path / "run", "latest")
    network = load_network(experiment, checkpoint)
    result = evaluate(
        experiment, network, episodes=20, seed=7, deterministic=True, checkpoint=checkpoint.name
    )
    assert result.mean > 8.5  # of 10; random policies' are 2.5 and 3.3
