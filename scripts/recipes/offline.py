"""Settings of learning from a log alone: CQL's and IQL's."""

from dataclasses import replace

from agents.algorithms.cql import CQL
from agents.algorithms.iql import IQL
from agents.algorithms.ppo import PPO
from agents.experiment import Experiment
from agents.interfaces import Algorithm, Environment
from agents.memory import NoMemory
from perception.mlp import MLPConfig
from scripts.recipes import ppo
from scripts.recipes.bc import shown


def conservative(environment: Environment) -> Experiment:
    """Kumar et al. 2020."""
    return experiment(environment, CQL())


def implicit(environment: Environment) -> Experiment:
    """Kostrikov et al. 2021, appendix B: expectile 0.7, inverse temperature 3."""
    return experiment(environment, IQL())


def experiment(environment: Environment, algo: CQL | IQL) -> Experiment:
    """Both papers: batches of 256, Adam at 3e-4, a target rate of 0.005, two layers of 256 (ReLU) for vectors."""
    base = ppo.recipe(environment)
    assert isinstance(base.algo, PPO)
    vectors = isinstance(base.encoder, MLPConfig)
    settings: Algorithm = replace(
        algo,
        demonstrations=shown(environment),
        rollout_length=256 if vectors else 64,  # images of an update are on the device at once
        normalize_observations=vectors,
        normalize_rewards=vectors,
    )
    return replace(
        base,
        algo=settings,
        encoder=MLPConfig(hidden_sizes=(256, 256), activation="relu") if vectors else base.encoder,
        memory=NoMemory(),
        num_envs=64,
        total_env_steps=5_000_000,
        evaluate_every_env_steps=500_000,
        evaluation_episodes=50,
        checkpoint_every_env_steps=250_000,
    )
