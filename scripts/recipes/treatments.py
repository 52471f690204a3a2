"""PPO's settings for treatments; ours, as nobody has published any for these environments."""

from dataclasses import replace
from typing import TYPE_CHECKING

from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.ppo import PPO
from perception.settings.encoders import MLPConfig, NatureCNNConfig
from perception.settings.memory import RecurrentConfig

if TYPE_CHECKING:  # the models of patients take a second to import
    from envs.health.glucose.env import GlucoseConfig
    from envs.health.sepsis_icu import SepsisConfig
    from envs.health.tumor.env import TumorConfig


def states(environment: "SepsisConfig") -> Experiment:
    """One state of hundreds, seen as it is: linear policy and value. It takes none but admissible
    actions: most are not, and what they come to hides what the others do."""
    return Experiment(
        env=replace(environment, action_mask=True),
        algo=PPO(
            rollout_length=64,
            epochs=4,
            minibatch_size=4_096,
            learning_rate=0.05,
            share_encoder=False,
            discount=1.0,
            gae_lambda=0.4,
            clip=0.3,
            entropy_coefficient=0.001,
            anneal_entropy=True,
        ),
        encoder=MLPConfig(hidden_sizes=()),
        num_envs=256,
        total_env_steps=6_000_000,
        evaluate_every_env_steps=1_000_000,
        evaluation_episodes=500,
        checkpoint_every_env_steps=500_000,
    )


def insulin(environment: "GlucoseConfig") -> Experiment:
    """How a patient responds to insulin shows in the course of a day, so that the agent remembers;
    the risk is one that weighs glucose above and below the range alike."""
    base = vectors(replace(environment, risk="kovatchev"))
    algo = replace(base.algo, rollout_length=32, epochs=6, minibatch_size=1_024, discount=0.97)  # pyright: ignore
    return replace(
        base,
        algo=algo,
        memory=RecurrentConfig(steps=32),
        num_envs=256,
        total_env_steps=1_000_000,
        evaluate_every_env_steps=250_000,
    )


def vectors(environment: Environment) -> Experiment:
    """Many patients at a time, in whatever units their readings and rewards are."""
    return Experiment(
        env=environment,
        algo=PPO(
            rollout_length=128,
            epochs=10,
            minibatch_size=512,
            learning_rate=1e-3,
            share_encoder=False,
            discount=0.99,
            normalize_observations=True,
            normalize_rewards=True,
        ),
        encoder=MLPConfig(),
        num_envs=64,
        total_env_steps=500_000,
        evaluate_every_env_steps=100_000,
        evaluation_episodes=64,
    )


def episodes_of_care(environment: Environment) -> Experiment:
    """As for other vectors, with a bonus for trying treatments: there are sixteen."""
    base = vectors(environment)
    return replace(base, algo=replace(base.algo, entropy_coefficient=0.01))  # pyright: ignore


def scans(environment: "TumorConfig") -> Experiment:
    """For what images show in part: one network sees, and remembers, for policy and value. A tumor
    changes little in less than a day. Patients are admitted together, so that a rollout is somewhat
    longer than an episode, or each update would know one part of it alone."""
    base = vectors(replace(environment, step_hours=24.0))
    algo = replace(
        base.algo,  # pyright: ignore
        rollout_length=160,
        epochs=4,
        minibatch_size=256,
        discount=0.97,
        share_encoder=True,
        normalize_observations=False,
    )
    encoder = NatureCNNConfig(features=128)
    memory = RecurrentConfig(steps=32)
    return replace(
        base,
        algo=algo,
        encoder=encoder,
        memory=memory,
        num_envs=16,
        total_env_steps=320_000,
        evaluate_every_env_steps=80_000,
    )
