"""Behaviour cloning's settings."""

from dataclasses import replace

from agents.algorithms.bc import BC
from agents.algorithms.ppo import PPO
from agents.experiment import Experiment
from agents.interfaces import Environment
from scripts.recipes import ppo


def recipe(environment: Environment) -> Experiment:
    """Ours: the network of the environment's recipe for PPO, which may begin from it, and a million demonstrated steps.

    The demonstrations are those of scripts/make_demonstrations.py."""
    base = ppo.recipe(environment)
    assert isinstance(base.algo, PPO)
    shown = f"runs/demonstrations/{environment.name}.safetensors"
    return replace(
        base,
        algo=BC(demonstrations=shown, share_encoder=base.algo.share_encoder),
        num_envs=64,
        total_env_steps=1_000_000,
        evaluate_every_env_steps=250_000,
        evaluation_episodes=50,
    )
