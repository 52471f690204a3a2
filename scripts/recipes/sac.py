"""SAC's, TQC's and CrossQ's tuned settings by kind of environment, with where the numbers come
from."""

from dataclasses import fields, replace

from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.recurrent_sac import RecurrentSAC
from agents.settings.sac import SAC
from perception.settings.memory import RecurrentConfig
from scripts.recipes import continuous
from scripts.recipes.kinds import KINDS_BY_SPACES

# PyBullet's robots: rl-baselines3-zoo's settings (sac.yml and tqc.yml, HalfCheetahBulletEnv).
LOCOMOTION = SAC(
    hidden_sizes=(400, 300),
    learning_rate=7.3e-4,
    discount=0.98,
    target_rate=0.02,
    replay_capacity=300_000,
    learning_starts_env_steps=10_000,
    rollout_length=8,
    state_dependent_noise=True,
)
# A robot's arm, seen in camera images or in vectors: new noise at each step, as several robots
# learn together.
ARMS = replace(LOCOMOTION, rollout_length=1, state_dependent_noise=False, replay_capacity=200_000)
# Pendulum and its like: smaller networks and batches, a shorter wait, nothing compiled.
CLASSIC_CONTROL = replace(
    ARMS,
    hidden_sizes=(64, 64),
    batch_size=128,
    learning_rate=1e-3,
    learning_starts_env_steps=1_000,
    compile_losses=False,
)
# As TD3's, beside which it stands.
NAVIGATION = replace(
    ARMS,
    hidden_sizes=(256, 256),
    update_every_env_steps=2,
    learning_rate=5e-4,
    anneal_learning_rate=True,
    target_rate=0.005,
    replay_capacity=300_000,
)


SETTINGS_BY_KIND: dict[str, SAC] = {
    "locomotion": LOCOMOTION,
    "navigation": NAVIGATION,
    "arm": ARMS,
    "grasping": ARMS,
    **dict.fromkeys(KINDS_BY_SPACES, CLASSIC_CONTROL),
}


def recipe(environment: Environment) -> Experiment:
    """Haarnoja et al. 2019: two critics, of which the lower is believed, and a learnt
    temperature."""
    return continuous.experiment(environment, continuous.settings(environment, SETTINGS_BY_KIND))


def quantile_critics(environment: Environment) -> Experiment:
    """Kuznetsov et al. 2020 with rl-baselines3-zoo's two critics of 25 quantiles, of which targets
    leave out the two highest each."""
    algo = replace(
        continuous.settings(environment, SETTINGS_BY_KIND),
        name="tqc",
        num_quantiles=25,
        dropped_quantiles=2,
    )
    return continuous.experiment(environment, algo)


def batch_normalized(environment: Environment) -> Experiment:
    """Bhatt et al. 2024, table 2: batch normalization, no target networks, an actor that waits for
    three steps of wider critics, Adam with half the momentum. Critics are twice as wide as the
    actor, not four times, which is a fourth of the time."""
    row = continuous.settings(environment, SETTINGS_BY_KIND)
    sizes = min(row.hidden_sizes, (256, 256))  # those for Pendulum are smaller
    algo = replace(
        row,
        name="crossq",
        batch_norm=True,
        policy_delay=3,
        adam_beta1=0.5,
        learning_rate=1e-3,
        state_dependent_noise=False,
        hidden_sizes=sizes,
        critic_hidden_sizes=tuple(2 * size for size in sizes),
    )
    return continuous.experiment(environment, algo)


def recurrent(environment: Environment) -> Experiment:
    """SAC with an LSTM (Ni et al. 2022), learnt from stretches of 20 steps after 10 that bring the
    memory up to date; as many gradient steps as SAC has for a fourth of the env steps."""
    row = continuous.settings(environment, SETTINGS_BY_KIND)
    names = {field.name for field in fields(row)} - {"name", "batch_size", "compile_losses"}
    given = {name: getattr(row, name) for name in names}
    algo = RecurrentSAC(
        **given
        | {
            "state_dependent_noise": False,
            "hindsight": "none",
            "update_every_env_steps": 4,
            "burn_in": 10,
        }
    )
    algo = replace(algo, rollout_length=max(4, algo.rollout_length))
    return replace(
        continuous.experiment(environment, algo), memory=RecurrentConfig(units=64, steps=20)
    )
