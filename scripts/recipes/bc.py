"""Behavior cloning's settings."""

from dataclasses import replace

from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.bc import BC
from agents.settings.ppo import PPO
from envs.health.core.treatment import TreatmentConfig
from scripts.recipes import ppo


def recipe(environment: Environment) -> Experiment:
    """Ours: the network of the environment's recipe for PPO, which may begin from it, and a million
    demonstrated steps."""
    base = as_logged(ppo.recipe(environment), environment)
    assert isinstance(base.algo, PPO)
    algo = BC(
        demonstrations=shown(environment),
        share_encoder=base.algo.share_encoder,
        normalize_observations=base.algo.normalize_observations,
        normalize_rewards=base.algo.normalize_rewards,
    )
    return replace(
        base,
        algo=algo,
        num_envs=64,
        total_env_steps=1_000_000,
        evaluate_every_env_steps=250_000,
        evaluation_episodes=50,
    )


def as_logged(base: Experiment, environment: Environment) -> Experiment:
    """The experiment with a mask of actions only where the environment was given one: logs are made
    by the environment as it is given, whatever its recipe for PPO changes."""
    if not isinstance(environment, TreatmentConfig):
        return base
    return replace(base, env=replace(base.env, action_mask=environment.action_mask))  # pyright: ignore


def shown(environment: Environment) -> str:
    """Where the scripts write what is learnt from: log_episodes.py for treatments, else
    make_demonstrations.py."""
    if isinstance(environment, TreatmentConfig):
        policy = environment.usual_care.replace(" ", "-")
        return f"runs/logs/{environment.name}-{policy}.parquet"
    return f"runs/demonstrations/{environment.name}.safetensors"
