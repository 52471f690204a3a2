"""Behaviour cloning's settings."""

from dataclasses import replace

from agents.algorithms.bc import BC
from agents.experiment import Experiment
from agents.interfaces import Environment
from scripts.recipes import ppo


def recipe(environment: Environment) -> Experiment:
    """Ours: the network of the environment's recipe for PPO, which may begin from it, and a million demonstrated steps.

    The demonstrations are those of scripts/make_demonstrations.py."""
    return replace(
        ppo.recipe(environment),
        algo=BC(demonstrations=f"runs/demonstrations/{environment.name}.safetensors"),
        num_envs=64,
        total_env_steps=1_000_000,
        evaluate_every_env_steps=250_000,
        evaluation_episodes=50,
    )
