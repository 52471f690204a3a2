"""DQN and its classic sets learn: in seconds, to a return that luck does not reach.

benchmarks/learning.md has more."""

from dataclasses import replace

import pytest

from agents.checkpoint import chosen_checkpoint
from agents.evaluation.evaluate import evaluate, load_network
from agents.settings.dqn import DQN
from agents.training.train import train
from scripts.recipes import environment_named, recipe_named

pytestmark = pytest.mark.usefixtures("ray_here")


def played(experiment, run_dir):
    """How the last policy of a run plays, without chance."""
    experiment = replace(experiment, evaluate_every_env_steps=0, run_dir=str(run_dir))
    train(experiment)
    checkpoint = chosen_checkpoint(run_dir, "latest")
    network = load_network(experiment, checkpoint)
    return evaluate(
        experiment, network, episodes=20, seed=7, deterministic=True, checkpoint=checkpoint.name
    )


@pytest.mark.parametrize(
    "name", ["dqn", "double-dqn", "rainbow", "qr-dqn", "btr", "data-efficient"]
)
def test_every_set_finds_the_answers(name, tmp_path):
    experiment = recipe_named(name)(environment_named("probe-choice"))
    assert isinstance(experiment.algo, DQN)
    algo = replace(
        experiment.algo,
        learning_rate=1e-3,
        epsilon_decay_env_steps=2_000,
        discount=0.9,  # signs come by chance: what follows is the same noise for every answer
        n_step=1,
        update_every_env_steps=4,
        batch_size=64,
        num_quantiles=4 if name == "btr" else 20,
        stream_width=64,
        learning_starts_env_steps=1_000,
    )
    result = played(replace(experiment, algo=algo, total_env_steps=6_000), tmp_path / "run")
    assert result.mean == 10.0  # of 10; a random policy's is 2.5


def test_without_a_replay_the_answers_are_found_too(tmp_path):
    experiment = recipe_named("pqn")(environment_named("probe-choice"))
    algo = replace(
        experiment.algo,
        learning_rate=3e-3,
        rollout_length=8,
        minibatch_size=32,
        epsilon_decay_env_steps=4_000,
        discount=0.9,
        td_lambda=0.0,  # what follows is the same noise for every answer
    )
    result = played(replace(experiment, algo=algo, total_env_steps=12_000), tmp_path / "run")
    assert result.mean > 9.9  # of 10; a random policy's is 2.5


def test_what_was_shown_before_is_remembered(tmp_path):
    experiment = recipe_named("r2d2")(environment_named("probe-recall"))
    algo = replace(
        experiment.algo,
        learning_rate=3e-3,
        learning_starts_env_steps=1_000,
        epsilon_decay_env_steps=4_000,
        update_every_env_steps=32,
        batch_size=16,
        burn_in=2,
        stream_width=32,
    )
    memory = replace(experiment.memory, units=16, steps=6)
    result = played(
        replace(experiment, algo=algo, memory=memory, total_env_steps=10_000), tmp_path / "run"
    )
    assert result.mean == 1.0  # without a memory, no policy has more than 0.5
