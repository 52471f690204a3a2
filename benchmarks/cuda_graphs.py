"""What CUDA graphs are worth on a GPU: python benchmarks/cuda_graphs.py

The recipe's PPO with them and with kernels launched one by one, each in its own phases."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
import tyro

from agents.engine.config import rllib_config
from agents.experiment import Experiment
from agents.networks.actor_critic import ActorCritic
from agents.processes.cluster import ray_running
from benchmarks.speed import surroundings, write
from scripts import recipes

WARM_UP_ITERATIONS = 6


def main(
    env: str = "SpaceInvaders",
    num_envs: int = 32,
    minibatch_size: int = 256,
    iterations: int = 30,
    output: Path = ROOT / "benchmarks" / "results" / "gpu" / "cuda-graphs.json",
) -> None:
    """Measures.

    Args:
        env: What is learnt.
        num_envs: How many of it at a time.
        minibatch_size: Env steps a gradient step.
        iterations: How many are measured.
        output: Where the numbers go.
    """
    if not torch.cuda.is_available():
        raise SystemExit("There is no GPU here, and so no CUDA graph.")
    base = recipes.recipe_named("ppo")(recipes.environment_named(env))
    algo: Any = replace(base.algo, minibatch_size=minibatch_size)
    experiment = replace(base, algo=algo, num_envs=num_envs, total_env_steps=10_000_000)
    experiment.validate()
    told = {
        "command": " ".join(["python benchmarks/cuda_graphs.py", *sys.argv[1:]]),
        **surroundings(),
    }
    capturable = ActorCritic.capturable
    with ray_running(experiment):
        for name, graphs in (("graphs", capturable), ("one by one", False)):
            ActorCritic.capturable = graphs  # pyright: ignore[reportAttributeAccessIssue]
            told[name] = measured(experiment, iterations)
            print(name, told[name], flush=True)
    write(output, told)


def measured(experiment: Experiment, iterations: int) -> dict[str, float]:
    """Env steps a second, and milliseconds of an iteration by phase; inference is what sampling
    takes besides the environment."""
    algorithm = rllib_config(experiment).build_algo()
    for _ in range(WARM_UP_ITERATIONS):
        algorithm.train()
    before = dict(algorithm.seconds)
    env_steps = algorithm.env_steps
    started = now()
    for _ in range(iterations):
        algorithm.train()
    seconds = now() - started
    phases = {name: total - before.get(name, 0.0) for name, total in algorithm.seconds.items()}
    told = {"env_steps_per_second": round((algorithm.env_steps - env_steps) / seconds)}
    told |= {f"{name}_ms": round(1e3 * spent / iterations, 2) for name, spent in phases.items()}
    algorithm.stop()
    return told | {"iteration_ms": round(1e3 * seconds / iterations, 2)}


def now() -> float:
    # what the GPU still has to do belongs to the iteration that asked for it
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    tyro.cli(main)
