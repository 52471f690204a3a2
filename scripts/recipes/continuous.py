"""What DDPG, SAC and their kin have in common by kind of environment: lengths of runs, goals."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from agents.environments import opened
from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.settings.ddpg import DDPG
from agents.settings.sac import SAC
from envs.spaces import has_goals
from perception.settings.encoders import MLPConfig
from scripts.recipes.kinds import KINDS_BY_SPACES, row_for
from scripts.recipes.observations import encoder_for, observation_space

Settings = TypeVar("Settings", DDPG, SAC)


class Size(NamedTuple):
    """How long a kind of environment is learnt, and in how many copies."""

    num_envs: int
    lengths: Mapping[str, int]
    """Those of an experiment's numbers that are not its defaults."""


SHORT = Size(
    num_envs=4,
    lengths={
        "total_env_steps": 20_000,
        "evaluate_every_env_steps": 10_000,
        "checkpoint_every_env_steps": 10_000,
    },
)
SIZES_BY_KIND: dict[str, Size] = {
    # One robot: eight that start together see how an episode begins once in eight thousand updates,
    # and what they had learnt of it was lost in between (benchmarks/NOTEBOOK.md, 25 November).
    "locomotion": Size(num_envs=1, lengths={}),
    "navigation": Size(num_envs=8, lengths={"total_env_steps": 500_000, "evaluation_episodes": 50}),
    "arm": Size(num_envs=8, lengths={}),
    "grasping": Size(num_envs=8, lengths={}),
    **dict.fromkeys(KINDS_BY_SPACES, SHORT),
}
GOALS: dict[str, Any] = {
    "hindsight": "future",
    "hidden_sizes": (256, 256, 256),
    "discount": 0.95,
    "learning_starts_env_steps": 1_000,
    "replay_capacity": 1_000_000,
}
"""Andrychowicz et al. 2017: goals from the future of the episode, four in five; three layers of
256."""


def wants_goals(environment: Environment) -> bool:
    """Whether observations have a goal, and rewards can be computed for another one."""
    with opened(environment) as env:
        return has_goals(env.observation_space) and env.has_wrapper_attr("compute_reward")


def settings(environment: Environment, by_kind: Mapping[str, Settings]) -> Settings:
    """The kind's row, with hindsight where there are goals."""
    row = row_for(environment, by_kind)
    return replace(row, **GOALS) if wants_goals(environment) else row


def experiment(environment: Environment, algo: DDPG | SAC) -> Experiment:
    # Actor and critics have layers of their own.
    encoder = encoder_for(observation_space(environment), MLPConfig(hidden_sizes=()))
    chosen = Experiment(env=environment, algo=algo, encoder=encoder)
    if algo.hindsight != "none":
        return replace(chosen, num_envs=4, total_env_steps=20_000, evaluate_every_env_steps=10_000)
    size = row_for(environment, SIZES_BY_KIND)
    return replace(chosen, num_envs=size.num_envs, **size.lengths)
