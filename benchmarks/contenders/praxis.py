"""Praxis: the recipe of `make train` with everyone's minibatch, as agents/train.py runs it between evaluations."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[2]))

import tyro
from measure import count_parameters, measure

from agents.cluster import ray_running
from agents.engine.config import rllib_config
from agents.experiment import Experiment
from agents.settings.ppo import PPO
from scripts import recipes


def main(
    seconds: float = 30.0,
    algo: Literal["ppo", "appo"] = "ppo",
    num_envs: int = 32,
    minibatch_size: int = 256,
    num_env_runners: int = 0,
    precision: Literal["auto", "bf16", "fp32"] = "auto",
) -> None:
    base = recipes.recipe_named(algo)(recipes.environment_named("SpaceInvaders"))
    assert isinstance(base.algo, PPO)
    experiment = replace(
        base,
        algo=replace(base.algo, minibatch_size=minibatch_size),
        num_envs=num_envs,
        num_env_runners=num_env_runners,
        precision=precision,
        total_env_steps=10_000_000,
    )
    measure_experiment(experiment, seconds)


def measure_experiment(experiment: Experiment, seconds: float) -> None:
    experiment.validate()
    with ray_running(experiment):
        algorithm = rllib_config(experiment).build_algo()

        def iterate() -> int:
            before = algorithm.env_steps
            algorithm.train()
            return algorithm.env_steps - before

        network = algorithm.learner_group._learner.module["default_policy"]
        measure(iterate, seconds, count_parameters(network))
        algorithm.stop()


if __name__ == "__main__":
    tyro.cli(main)
