"""Praxis: the recipe `--algo dqn`, with a smaller replay, as agents/train.py runs it between two evaluations."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import tyro
from praxis import measure_experiment

from agents.settings.dqn import DQN
from scripts import recipes


def main(seconds: float = 30.0, algo: str = "dqn", prioritised: bool = False) -> None:
    base = recipes.recipe_named(algo)(recipes.environment_named("SpaceInvaders"))
    assert isinstance(base.algo, DQN)
    settings = replace(
        base.algo,
        learning_starts_env_steps=1_000,
        replay_capacity=50_000,
        priority_exponent=0.6 if prioritised else base.algo.priority_exponent,
    )
    measure_experiment(replace(base, algo=settings, total_env_steps=10_000_000), seconds)


if __name__ == "__main__":
    tyro.cli(main)
