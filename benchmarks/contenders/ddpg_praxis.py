"""Praxis: the recipe `--algo ddpg` or `td3` on HalfCheetah, on one core, as agents/train.py runs it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[2]))

import tyro
from measure import on_one_core
from praxis import measure_experiment

from agents.settings.ddpg import DDPG
from scripts import recipes


def main(
    seconds: float = 30.0,
    algo: Literal["ddpg", "td3"] = "td3",
    precision: Literal["auto", "bf16", "fp32"] = "auto",
) -> None:
    on_one_core()
    base = recipes.recipe_named(algo)(recipes.environment_named("HalfCheetah"))
    assert isinstance(base.algo, DDPG)
    settings = replace(base.algo, learning_starts_env_steps=1_000)
    experiment = replace(base, algo=settings, precision=precision)
    measure_experiment(experiment, seconds)


if __name__ == "__main__":
    tyro.cli(main)
