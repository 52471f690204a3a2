"""Praxis: the recipe of an algorithm, as agents/training/train.py runs it between two evaluations.

PPO, APPO and the DQN family play Space Invaders with all cores; DDPG, TD3, SAC and their kin move
HalfCheetah on one core.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parents[2]))

import tyro
from measure import count_parameters, measure, on_one_core

from agents.engine.config import rllib_config
from agents.experiment import Experiment
from agents.processes.cluster import ray_running
from scripts import recipes


@dataclass(frozen=True)
class Task:
    """What an algorithm trains on, and where its settings differ from the recipe's."""

    env: str = "SpaceInvaders"
    settings: dict[str, Any] = field(default_factory=dict)
    one_core: bool = False


EVERYONES_MINIBATCH = Task(settings={"minibatch_size": 256})
SMALL_REPLAY = {"learning_starts_env_steps": 1_000, "replay_capacity": 50_000}
ROBOT = Task("HalfCheetah", {"learning_starts_env_steps": 1_000}, one_core=True)
TASKS = {
    "ppo": EVERYONES_MINIBATCH,
    "appo": EVERYONES_MINIBATCH,
    "dqn": Task(settings=SMALL_REPLAY),
    "dqn-prioritized": Task(settings=SMALL_REPLAY | {"priority_exponent": 0.6}),
    "rainbow": Task(settings=SMALL_REPLAY),
    "ddpg": ROBOT,
    "td3": ROBOT,
    "sac": ROBOT,
    "tqc": ROBOT,
    "crossq": ROBOT,
}


def main(
    seconds: float = 30.0,
    algo: Literal[
        "ppo",
        "appo",
        "dqn",
        "dqn-prioritized",
        "rainbow",
        "ddpg",
        "td3",
        "sac",
        "tqc",
        "crossq",
    ] = "ppo",
    num_envs: int | None = None,
    minibatch_size: int | None = None,
    num_env_runners: int = 0,
    precision: Literal["auto", "bf16", "fp32"] = "auto",
) -> None:
    """Measures one algorithm and prints one JSON line.

    Args:
        seconds: Time of the measurement, after its warm-up.
        algo: The algorithm.
        num_envs: Environments, if not as many as in the recipe.
        minibatch_size: Rows of a minibatch of PPO or APPO, if not 256.
        num_env_runners: Processes that sample beside the learner's.
        precision: Of the networks.
    """
    task = TASKS[algo]
    if task.one_core:
        on_one_core()
    base = recipes.recipe_named(algo.removesuffix("-prioritized"))(
        recipes.environment_named(task.env)
    )
    settings = (
        task.settings
        if minibatch_size is None
        else task.settings | {"minibatch_size": minibatch_size}
    )
    experiment = replace(
        base,
        algo=replace(base.algo, **settings),  # pyright: ignore[reportArgumentType]
        num_envs=num_envs or base.num_envs,
        num_env_runners=num_env_runners,
        precision=precision,
        total_env_steps=10_000_000,
    )
    measure_experiment(experiment, seconds)


def measure_experiment(experiment: Experiment, seconds: float) -> None:
    experiment.validate()
    with ray_running(experiment):
        algorithm = rllib_config(experiment).build_algo()

        def iterate() -> int:
            before = algorithm.env_steps
            algorithm.train()
            return algorithm.env_steps - before

        network = algorithm.learner_group._learner.module["default_policy"]
        measure(iterate, seconds, count_parameters(network))
        algorithm.stop()


if __name__ == "__main__":
    tyro.cli(main)
