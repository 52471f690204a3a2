"""DDPG's and TD3's tuned settings by kind of environment, with where the numbers come from."""

from dataclasses import replace

from agents.algorithms.ddpg import DDPG
from agents.experiment import Experiment
from agents.interfaces import Environment
from perception.mlp import MLPConfig

# PyBullet's locomotion robots: Stable-Baselines3's tuned settings (rl-baselines3-zoo, ddpg.yml, HalfCheetahBulletEnv).
ROBOTS = DDPG(discount=0.98, replay_capacity=200_000, learning_starts_env_steps=10_000)


def recipe(environment: Environment) -> Experiment:
    """Lillicrap et al. 2016, with Gaussian noise."""
    return experiment(environment, ROBOTS)


def twin_delayed(environment: Environment) -> Experiment:
    """Fujimoto et al. 2018, table 3."""
    return experiment(environment, replace(ROBOTS, name="td3", num_critics=2, policy_delay=2, target_noise=0.2))


def experiment(environment: Environment, algo: DDPG) -> Experiment:
    return Experiment(
        env=environment,
        algo=algo,
        encoder=MLPConfig(hidden_sizes=()),  # observations as they are: actor and critics have their own layers
        num_envs=4,
        total_env_steps=1_000_000,
    )
