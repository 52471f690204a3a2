"""PPO's tuned settings by kind of environment, with where the numbers come from."""

from collections.abc import Callable
from dataclasses import fields, replace

from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.appo import APPO
from agents.settings.environment_reward import EnvironmentReward
from agents.settings.ppo import PPO
from envs.robots.grasp import KukaGraspConfig
from language.settings.encoders import ReaderConfig
from perception.settings.encoders import (
    GridEncoderConfig,
    InstructedEncoderConfig,
    MLPConfig,
    NatureCNNConfig,
)
from perception.settings.module_encoders import ListEncoderConfig
from scripts.recipes import treatments
from scripts.recipes.kinds import row_for
from scripts.recipes.observations import encoder_for, has_large_integers, observation_space


def recipe(environment: Environment) -> Experiment:
    """PPO's recipe for an environment, by its kind."""
    return row_for(environment, BY_KIND)(environment)


def asynchronous(environment: Environment) -> Experiment:
    """The recipe with two env runners that do not wait for the learner."""
    base = recipe(environment)
    assert isinstance(base.algo, PPO)
    algo = APPO(**{field.name: getattr(base.algo, field.name) for field in fields(base.algo)})
    return replace(base, algo=algo, num_env_runners=2)


def atari(environment: Environment) -> Experiment:
    """Schulman et al. 2017, table 5; 1,024 env steps an update, as there, from 32 games instead of
    8.

    They tuned for ten million steps. In one million, four times their learning rate, half their
    minibatch and an entropy bonus that fades go further: benchmarks/NOTEBOOK.md has the comparison.
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


def atari_objects(environment: Environment) -> Experiment:
    """Atari's settings, for a list of what is on the screen."""
    return replace(atari(environment), encoder=ListEncoderConfig())


def images(environment: Environment) -> Experiment:
    """Atari's settings, but for rewards, whose size may mean something here: they are divided by
    the deviation of the return."""
    base = atari(environment)
    return replace(
        base,
        algo=replace(base.algo, normalize_rewards=True),  # pyright: ignore
        encoder=encoder_for(observation_space(environment), MLPConfig()),
        reward=EnvironmentReward(),
    )


def continuous_images(environment: Environment) -> Experiment:
    """A camera and a hand; ours."""
    return Experiment(
        env=environment,
        algo=PPO(
            rollout_length=32, epochs=4, minibatch_size=128, learning_rate=5e-4, discount=0.95
        ),
        encoder=encoder_for(observation_space(environment), MLPConfig()),
        num_envs=32,
        total_env_steps=300_000,
        evaluate_every_env_steps=50_000,
        evaluation_episodes=50,
    )


def grasping(environment: KukaGraspConfig) -> Experiment:
    """As for other images. While it learns, the arm is told when it comes nearer to an object."""
    base = continuous_images(environment)
    return replace(base, env=replace(environment, shaped=True, discount=base.algo.discount))  # pyright: ignore


def grids(environment: Environment) -> Experiment:
    """Rooms seen in part: Chevalier-Boisvert et al. 2019, section 4.2 (rl-starter-files), with more
    environments."""
    return Experiment(
        env=environment,
        algo=PPO(
            rollout_length=128,
            epochs=4,
            minibatch_size=256,
            learning_rate=1e-3,
            entropy_coefficient=0.01,
        ),
        encoder=GridEncoderConfig(),
        num_envs=16,
        total_env_steps=500_000,
        evaluate_every_env_steps=100_000,
        evaluation_episodes=50,
    )


def instructed_grids(environment: Environment) -> Experiment:
    """The same rooms with a mission in words, which an LSTM reads; from more environments."""
    return replace(grids(environment), encoder=InstructedEncoderConfig(ReaderConfig()), num_envs=64)


def remembered_grids(environment: Environment) -> Experiment:
    """Ours, for what is shown long before it is asked for: returns reach further back, twice as
    much is seen before an update, and steps stay as long as they were; for --memory lstm
    --memory.steps 128."""
    base = grids(environment)
    algo = replace(base.algo, discount=0.995, gae_lambda=0.98, anneal_learning_rate=False)  # pyright: ignore
    return replace(base, algo=algo, num_envs=64, total_env_steps=1_500_000)


def vectors(environment: Environment) -> Experiment:
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
            # Integers so large that float32 holds them only after their mean is taken off.
            normalize_observations=has_large_integers(observation_space(environment)),
        ),
        encoder=MLPConfig(),
        num_envs=8,
        total_env_steps=100_000,
        evaluate_every_env_steps=50_000,
        checkpoint_every_env_steps=25_000,
    )


def continuous_vectors(environment: Environment) -> Experiment:
    """Huang et al. 2022, nine details for continuous actions: normalized observations and
    rewards."""
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


BY_KIND: dict[str, Callable[..., Experiment]] = {
    "atari": atari,
    "atari-objects": atari_objects,
    "grid": grids,
    "grid:memory": remembered_grids,
    "instructed-grid": instructed_grids,
    "grasping": grasping,
    "treatment": treatments.vectors,
    "treatment:care-episode": treatments.episodes_of_care,
    "treatment:sepsis-icu": treatments.states,
    "treatment:glucose-t1d": treatments.insulin,
    "treatment:tumor-imaging:scans": treatments.scans,
    "discrete-images": images,
    "discrete-vectors": vectors,
    "continuous-images": continuous_images,
    "continuous-vectors": continuous_vectors,
}
"""The recipe for each kind of environment; the last four are for environments that say none of the
kinds above."""
