"""DDPG's and TD3's tuned settings by kind of environment, with where the numbers come from."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from agents.environments import opened
from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.ddpg import DDPG
from envs.spaces import has_goals
from perception.settings.encoders import MLPConfig
from scripts.recipes.kinds import KINDS_BY_SPACES, row_for
from scripts.recipes.observations import encoder_for

# PyBullet's robots: Stable-Baselines3's tuned settings (rl-baselines3-zoo, ddpg.yml,
# HalfCheetahBulletEnv).
ROBOTS = DDPG(discount=0.98, replay_capacity=200_000, learning_starts_env_steps=10_000)

# One robot that learns after every eight of its steps. Eight robots that start together see how an
# episode begins once in eight thousand updates, and what they had learnt of it was lost in between:
# benchmarks/NOTEBOOK.md, 25 November.
LOCOMOTION = replace(ROBOTS, rollout_length=8)

# Pendulum and its like: smaller networks and batches, a shorter wait, nothing compiled. Ours: -216
# and -153 after 8,000 env steps of Pendulum by td3, -138 and -139 after 10,000, one seed each.
CLASSIC_CONTROL = replace(
    ROBOTS,
    hidden_sizes=(64, 64),
    batch_size=128,
    learning_starts_env_steps=1_000,
    compile_losses=False,
)

# Ours: 0.78 of held-out maps after 60,000 env steps of the above, with two layers of 256 and half the learning rate;
# 0.93 with eight times the steps, an update for every second, and a learning rate that is annealed.
NAVIGATION = replace(
    ROBOTS,
    hidden_sizes=(256, 256),
    update_every_env_steps=2,
    learning_rate=5e-4,
    anneal_learning_rate=True,
    noise=0.2,
    replay_capacity=300_000,
)


def recipe(environment: Environment) -> Experiment:
    """Lillicrap et al. 2016, with Gaussian noise."""
    return experiment(environment, "ddpg")


def twin_delayed(environment: Environment) -> Experiment:
    """Fujimoto et al. 2018, table 3."""
    return experiment(environment, "td3", num_critics=2, policy_delay=2, target_noise=0.2)


def experiment(
    environment: Environment,
    name: str,
    num_critics: int = 1,
    policy_delay: int = 1,
    target_noise: float = 0.0,
) -> Experiment:
    """An experiment for the environment's kind, with the algorithm's name and these settings.

    An environment with goals that can compute rewards for other goals gets `with_goals`, four
    environments and 20,000 env steps."""
    with opened(environment) as env:
        space = env.observation_space
        goals = has_goals(space) and env.has_wrapper_attr("compute_reward")
    row = row_for(environment, BY_KIND)
    algo = replace(
        row.algo,
        name=name,
        num_critics=num_critics,
        policy_delay=policy_delay,
        target_noise=target_noise,
    )
    encoder = encoder_for(
        space, MLPConfig(hidden_sizes=())
    )  # actor and critics have layers of their own
    if goals:
        chosen = Experiment(env=environment, algo=with_goals(algo), encoder=encoder, num_envs=4)
        return replace(chosen, total_env_steps=20_000, evaluate_every_env_steps=10_000)
    chosen = Experiment(env=environment, algo=algo, encoder=encoder, num_envs=row.num_envs)
    return replace(chosen, **row.lengths)


def with_goals(algo: DDPG) -> DDPG:
    """Andrychowicz et al. 2017: goals from the future of the episode, four in five; three layers of
    256."""
    return replace(
        algo,
        hindsight="future",
        hidden_sizes=(256, 256, 256),
        discount=0.95,
        learning_starts_env_steps=1_000,
        replay_capacity=1_000_000,
    )


class Row(NamedTuple):
    """What suits a kind of environment."""

    algo: DDPG
    num_envs: int
    lengths: Mapping[str, int]
    """Those of an experiment's numbers that are not its defaults."""


OTHERS = Row(
    CLASSIC_CONTROL,
    num_envs=4,
    lengths={
        "total_env_steps": 20_000,
        "evaluate_every_env_steps": 10_000,
        "checkpoint_every_env_steps": 10_000,
    },
)
BY_KIND: dict[str, Row] = {
    "locomotion": Row(LOCOMOTION, num_envs=1, lengths={}),
    "navigation": Row(
        NAVIGATION, num_envs=8, lengths={"total_env_steps": 500_000, "evaluation_episodes": 50}
    ),
    "arm": Row(ROBOTS, num_envs=8, lengths={}),
    "grasping": Row(ROBOTS, num_envs=8, lengths={}),
    **dict.fromkeys(KINDS_BY_SPACES, OTHERS),
}
