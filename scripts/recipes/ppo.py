"""PPO's tuned settings by kind of environment, with where the numbers come from."""

from dataclasses import fields, replace

from gymnasium.spaces import Box

from agents.environments import opened
from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.appo import APPO
from agents.settings.environment_reward import EnvironmentReward
from agents.settings.ppo import PPO
from envs.atari.games import AtariConfig
from envs.atari.objects import SpaceInvadersObjectsConfig
from envs.grids.instructed import LanguageGridConfig
from envs.grids.minigrid import GridConfig
from envs.health.core.treatment import TreatmentConfig
from envs.robots.grasp import KukaGraspConfig
from language.settings.encoders import ReaderConfig
from perception.settings.encoders import (
    GridEncoderConfig,
    InstructedEncoderConfig,
    ListEncoderConfig,
    MLPConfig,
    NatureCNNConfig,
)
from scripts.recipes.observations import encoder_for, has_large_integers, sees_images


def recipe(environment: Environment) -> Experiment:
    """The recipe for an environment: by its observations, then by its actions."""
    if isinstance(environment, GridConfig):
        return remembered_grids(environment) if "Memory" in environment.name else grids(environment)
    if isinstance(environment, LanguageGridConfig):
        return replace(grids(environment), encoder=InstructedEncoderConfig(ReaderConfig()), num_envs=64)
    if isinstance(environment, SpaceInvadersObjectsConfig):
        return replace(atari(environment), encoder=ListEncoderConfig())
    if isinstance(environment, TreatmentConfig):
        from scripts.recipes import treatments  # here, because the models of patients take a second to import

        return treatments.recipe(environment)
    if isinstance(environment, AtariConfig):
        return atari(environment)  # its spaces are known: loading the game would take a quarter of a second
    with opened(environment) as env:
        space = env.observation_space
        continuous = isinstance(env.action_space, Box)
    if sees_images(space):
        base = grasping(environment) if continuous else games(environment)
        return replace(base, encoder=encoder_for(space, MLPConfig()))
    base = continuous_control(environment) if continuous else classic_control(environment)
    return normalised(base) if has_large_integers(space) else base


def asynchronous(environment: Environment) -> Experiment:
    """The recipe with two env runners that do not wait for the learner."""
    base = recipe(environment)
    assert isinstance(base.algo, PPO)
    algo = APPO(**{field.name: getattr(base.algo, field.name) for field in fields(base.algo)})
    return replace(base, algo=algo, num_env_runners=2)


def atari(environment: Environment) -> Experiment:
    """Schulman et al. 2017, table 5; 1,024 env steps an update, as there, from 32 games instead of 8.

    They tuned for ten million steps. In one million, four times their learning rate, half their minibatch
    and an entropy bonus that fades go further: benchmarks/NOTEBOOK.md has the comparison.
    """
    return Experiment(
        env=environment,
        algo=PPO(
            rollout_length=32,
            epochs=4,
            minibatch_size=128,
            learning_rate=1e-3,
            clip=0.1,
            entropy_coefficient=0.01,
            anneal_entropy=True,
            value_coefficient=0.5,
        ),
        encoder=NatureCNNConfig(),
        reward=EnvironmentReward(clip_to_sign=True),
        num_envs=32,
    )


def games(environment: Environment) -> Experiment:
    """Atari's settings, but for rewards, whose size may mean something here: they are divided by the deviation of the
    return."""
    base = atari(environment)
    algo = replace(base.algo, normalize_rewards=True)  # pyright: ignore
    return replace(base, algo=algo, reward=EnvironmentReward())


def normalised(base: Experiment) -> Experiment:
    """For integers so large that float32 holds them only after their mean is taken off."""
    return replace(base, algo=replace(base.algo, normalize_observations=True))  # pyright: ignore


def grasping(environment: Environment) -> Experiment:
    """A camera and a hand; ours. An arm is told, while it learns, when it comes nearer to an object."""
    algo = PPO(rollout_length=32, epochs=4, minibatch_size=128, learning_rate=5e-4, discount=0.95)
    if isinstance(environment, KukaGraspConfig):
        environment = replace(environment, shaped=True, discount=algo.discount)
    return Experiment(
        env=environment,
        algo=algo,
        encoder=NatureCNNConfig(),
        num_envs=32,
        total_env_steps=300_000,
        evaluate_every_env_steps=50_000,
        evaluation_episodes=50,
    )


def grids(environment: Environment) -> Experiment:
    """Rooms seen in part: Chevalier-Boisvert et al. 2019, section 4.2 (rl-starter-files), with more environments."""
    return Experiment(
        env=environment,
        algo=PPO(rollout_length=128, epochs=4, minibatch_size=256, learning_rate=1e-3, entropy_coefficient=0.01),
        encoder=GridEncoderConfig(),
        num_envs=16,
        total_env_steps=500_000,
        evaluate_every_env_steps=100_000,
        evaluation_episodes=50,
    )


def remembered_grids(environment: Environment) -> Experiment:
    """Ours, for what is shown long before it is asked for: returns reach further back, twice as much is seen before an
    update, and steps stay as long as they were; for --memory lstm --memory.steps 128."""
    base = grids(environment)
    algo = replace(base.algo, discount=0.995, gae_lambda=0.98, anneal_learning_rate=False)  # pyright: ignore
    return replace(base, algo=algo, num_envs=64, total_env_steps=1_500_000)


def classic_control(environment: Environment) -> Experiment:
    """CartPole and its like: small networks, short rollouts, an annealed learning rate."""
    return Experiment(
        env=environment,
        algo=PPO(
            rollout_length=64,
            epochs=10,
            minibatch_size=128,
            learning_rate=1e-3,
            share_encoder=False,
            gae_lambda=0.9,
            discount=0.98,
        ),
        encoder=MLPConfig(),
        num_envs=8,
        total_env_steps=100_000,
        evaluate_every_env_steps=50_000,
        checkpoint_every_env_steps=25_000,
    )


def continuous_control(environment: Environment) -> Experiment:
    """Huang et al. 2022, nine details for continuous actions: normalised observations and rewards."""
    return Experiment(
        env=environment,
        algo=PPO(
            rollout_length=256,
            epochs=10,
            minibatch_size=64,
            learning_rate=3e-4,
            share_encoder=False,
            normalize_observations=True,
            normalize_rewards=True,
        ),
        encoder=MLPConfig(),
        num_envs=8,
    )
