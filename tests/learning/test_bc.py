"""Behavior cloning learns what was shown, with and without memory, and another run may begin with
what it learnt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from agents.checkpoint import chosen_checkpoint
from agents.evaluation.evaluate import evaluate, load_network
from agents.experiment import Experiment, InvalidExperiment
from agents.interfaces import Environment
from agents.training.train import train
from scripts.recipes import environment_named, memory_named, recipe_named

pytestmark = pytest.mark.usefixtures("ray_here")


def played(experiment: Experiment) -> float:
    checkpoint = chosen_checkpoint(Path(experiment.run_dir), "latest")
    network = load_network(experiment, checkpoint)
    return evaluate(
        experiment, network, episodes=100, seed=7, deterministic=True, checkpoint=checkpoint.name
    ).mean


def demonstrate(environment: Environment, path: Path) -> str:
    """Whole episodes of who answers with the number of the latest sign that there is an answer
    to."""
    env = environment.build()
    answers = int(env.action_space.n)  # pyright: ignore[reportAttributeAccessIssue]
    seen, done, earned, first = [], [], [], []
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        sign, over = 0, False
        first.append(True)
        while not over:
            sign = int(observation.argmax()) if observation[:answers].any() else sign
            seen.append(observation)
            done.append(sign)
            observation, reward, terminated, truncated, _ = env.step(sign)
            earned.append(float(reward))
            over = terminated or truncated
            first.append(False)
        first.pop()
    columns = {
        "observations": np.array(seen),
        "actions": np.array(done),
        "rewards": np.array(earned, np.float32),
        "first": np.array(first),
    }
    save_file(columns, path)
    return str(path)


def cloning(environment: Environment, tmp_path: Path) -> Experiment:
    base = recipe_named("bc")(environment)
    algo = replace(
        base.algo,  # pyright: ignore[reportArgumentType]
        demonstrations=demonstrate(environment, tmp_path / "shown"),
        rollout_length=8,
        minibatch_size=64,
        learning_rate=3e-3,
    )
    return replace(
        base,
        algo=algo,
        num_envs=16,
        total_env_steps=20_000,
        evaluate_every_env_steps=0,
        run_dir=str(tmp_path / "cloned"),
    )


def test_what_was_shown_is_done_and_another_run_begins_with_it(tmp_path: Path) -> None:
    experiment = cloning(environment_named("probe-choice"), tmp_path)
    train(experiment)
    assert played(experiment) == 10.0  # of 10; a random policy's is 2.5
    ppo = recipe_named("ppo")(experiment.env)
    goes_on = replace(
        ppo,
        algo=replace(ppo.algo, learning_rate=1e-12),  # pyright: ignore[reportArgumentType]
        begin_from=experiment.run_dir,
        total_env_steps=1,
        evaluate_every_env_steps=0,
        run_dir=str(tmp_path / "goes-on"),
    )
    train(goes_on)
    assert played(goes_on) == 10.0, "it plays as the one that it began with"
    with pytest.raises(InvalidExperiment, match="there is no such folder"):
        train(
            replace(goes_on, begin_from=str(tmp_path / "nothing"), run_dir=str(tmp_path / "other"))
        )
    assert not (tmp_path / "other").exists()


def test_what_has_to_be_remembered_is_learnt_by_a_memory_alone(tmp_path: Path) -> None:
    experiment = cloning(environment_named("probe-recall"), tmp_path)
    remembers = replace(experiment, memory=memory_named("gru"), run_dir=str(tmp_path / "remembers"))
    train(experiment)
    train(remembers)
    assert played(experiment) < 0.75  # who cannot know has 0.5
    assert played(remembers) == 1.0
