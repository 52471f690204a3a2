"""Settings of learning from a log alone: CQL's and IQL's."""

from dataclasses import replace

from agents.experiment import Experiment
from agents.interfaces import Algorithm, Environment
from agents.settings.cql import CQL
from agents.settings.iql import IQL
from agents.settings.no_memory import NoMemory
from agents.settings.ppo import PPO
from perception.settings.encoders import MLPConfig
from scripts.recipes import ppo
from scripts.recipes.bc import as_logged, shown
from scripts.recipes.kinds import is_kind


def conservative(environment: Environment) -> Experiment:
    """Kumar et al. 2020; on treatments, where what clinicians seldom did may be better, a tenth of
    their weight."""
    return experiment(environment, CQL(alpha=0.1) if is_kind(environment, "treatment") else CQL())


def implicit(environment: Environment) -> Experiment:
    """Kostrikov et al. 2021, locomotion: expectile 0.7, inverse temperature 3; on treatments, whose
    rewards are counted in deviations of the return, 10."""
    return experiment(
        environment, IQL(inverse_temperature=10.0) if is_kind(environment, "treatment") else IQL()
    )


def experiment(environment: Environment, algo: CQL | IQL) -> Experiment:
    """IQL's, and CQL with the same: batches of 256, Adam at 3e-4, a target rate of 0.005, two
    layers of 256 (ReLU)."""
    base = as_logged(ppo.recipe(environment), environment)
    assert isinstance(base.algo, PPO)
    vectors = isinstance(base.encoder, MLPConfig)
    settings: Algorithm = replace(
        algo,
        demonstrations=shown(environment),
        rollout_length=256 if vectors else 64,  # images of an update are on the device at once
        normalize_observations=vectors,
        normalize_rewards=vectors,
    )
    whole = replace(
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
    return of_treatments(whole) if vectors and is_kind(environment, "treatment") else whole


def of_treatments(base: Experiment) -> Experiment:
    """Ours: logs are small, so fewer and larger steps, which become smaller, of a smaller
    network."""
    assert isinstance(base.algo, CQL | IQL)
    return replace(
        base,
        algo=replace(base.algo, minibatch_size=512, learning_rate=1e-3, anneal_learning_rate=True),
        encoder=MLPConfig(hidden_sizes=(128, 128), activation="relu"),
        total_env_steps=1_500_000,
    )
