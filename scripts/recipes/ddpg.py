"""DDPG's and TD3's tuned settings by kind of environment, with where the numbers come from."""

from dataclasses import replace

from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.ddpg import DDPG
from scripts.recipes import continuous
from scripts.recipes.kinds import KINDS_BY_SPACES

# PyBullet's robots: Stable-Baselines3's tuned settings (rl-baselines3-zoo, ddpg.yml,
# HalfCheetahBulletEnv).
ROBOTS = DDPG(discount=0.98, replay_capacity=200_000, learning_starts_env_steps=10_000)

# One robot, which learns after every eight of its steps.
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


SETTINGS_BY_KIND: dict[str, DDPG] = {
    "locomotion": LOCOMOTION,
    "navigation": NAVIGATION,
    "arm": ROBOTS,
    "grasping": ROBOTS,
    **dict.fromkeys(KINDS_BY_SPACES, CLASSIC_CONTROL),
}


def recipe(environment: Environment) -> Experiment:
    """Lillicrap et al. 2016, with Gaussian noise."""
    return continuous.experiment(environment, continuous.settings(environment, SETTINGS_BY_KIND))


def twin_delayed(environment: Environment) -> Experiment:
    """Fujimoto et al. 2018, table 3."""
    algo = replace(
        continuous.settings(environment, SETTINGS_BY_KIND),
        name="td3",
        num_critics=2,
        policy_delay=2,
        target_noise=0.2,
    )
    return continuous.experiment(environment, algo)
