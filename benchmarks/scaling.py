"""How a run's speed grows with its env runners, measured here and reckoned for more: python
benchmarks/scaling.py

PPO, synchronous and asynchronous, with 0, 1 and 2 env runners in turn: env steps a second, what
each phase and each process takes of the cores, and what crosses the object store. From those with 0
and 1, scaling_model.py reckons the others, to compare with what they were measured to do, and how
many env runners a learner on a GPU can use.
"""

import json
import pickle
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import psutil
import tyro
from scaling_model import (
    BYTES_A_SECOND_BETWEEN_MACHINES,
    OPERATIONS_A_SECOND,
    Here,
    Update,
    asynchronous,
    counting,
    learning_speed,
    synchronous,
)
from speed import surroundings

from agents.algorithms.ppo import sequences
from agents.engine.config import rllib_config
from agents.experiment import Experiment
from agents.processes.cluster import ray_running
from scripts import recipes

WARM_UP_ITERATIONS = 3
CASES = (("ppo", 0), ("ppo", 1), ("ppo", 2), ("appo", 1), ("appo", 2))
LEARNERS = (1, 2, 4)
LARGER_MINIBATCHES = 16


@dataclass(frozen=True)
class Measured:
    algo: str
    runners: int
    env_steps_per_second: float
    seconds_per_1000: dict[str, float]
    """Of each phase, on the clock; environment and inference are those of one runner."""
    core_seconds_per_1000: dict[str, float]
    """Of each kind of process, on all cores."""
    sample_bytes_per_step: float
    weights_bytes_per_step: float


def main(
    env: str = "SpaceInvaders",
    seconds: float = 30.0,
    rounds: int = 3,
    output: Path = ROOT / "benchmarks" / "results" / "clusters_and_kills" / "scaling.json",
) -> None:
    """Measures, fits, draws.

    Args:
        env: What to train on.
        seconds: Of each measurement.
        rounds: How often each is measured.
        output: The numbers; the picture lies beside it.
    """
    measured: dict[tuple[str, int], list[Measured]] = {case: [] for case in CASES}
    for number in range(rounds):
        for case in CASES if number % 2 == 0 else CASES[::-1]:
            measured[case].append(measure(env, *case, seconds))
            print(f"round {number + 1} of {rounds}: {measured[case][-1]}", flush=True)
    model = fit(measured, counted(env), experiment_with(env, "ppo", 0).algo.epochs)  # pyright: ignore
    told = {
        "command": " ".join(["python benchmarks/scaling.py", *sys.argv[1:]]),
        **surroundings(),
        "measured": [asdict(one) for row in measured.values() for one in row],
        "model": model,
    }
    output.write_text(json.dumps(told, indent=1) + "\n")
    draw(measured, model, output.with_suffix(".png"))
    print(json.dumps(model, indent=1))


def experiment_with(env: str, algo: str, runners: int) -> Experiment:
    base = recipes.recipe_named(algo)(recipes.environment_named(env))
    return replace(base, num_env_runners=runners, total_env_steps=10_000_000)


def measure(env: str, algo: str, runners: int, seconds: float) -> Measured:
    experiment: Any = experiment_with(env, algo, runners)
    with ray_running(experiment):
        algorithm: Any = rllib_config(experiment).build_algo()
        for _ in range(WARM_UP_ITERATIONS):
            algorithm.train()
        algorithm.seconds.clear()
        steps = algorithm.env_steps
        cores = core_seconds()
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            algorithm.train()
        elapsed = time.perf_counter() - started
        thousands = (algorithm.env_steps - steps) / 1_000
        used = {name: spent - cores.get(name, 0.0) for name, spent in core_seconds().items()}
        weights = sum(np.asarray(weight).nbytes for weight in algorithm.network_state().values())
        sample = len(pickle.dumps(algorithm.sample(), protocol=5)) / (
            experiment.num_envs * experiment.algo.rollout_length
        )
        updates_per_step = 1 / (experiment.num_envs * experiment.algo.rollout_length)
        result = Measured(
            algo,
            runners,
            round(1_000 * thousands / elapsed, 1),
            {phase: round(spent / thousands, 3) for phase, spent in algorithm.seconds.items()},
            {name: round(spent / thousands, 3) for name, spent in used.items()},
            round(sample, 1) if runners else 0.0,
            round(weights * runners * updates_per_step, 1),
        )
        algorithm.stop()
    return result


def core_seconds() -> dict[str, float]:
    """Of this process and of all env runners, since they were started."""
    spent = {"command and learner": sum(psutil.Process().cpu_times()[:2]), "env runners": 0.0}
    for child in psutil.Process().children(recursive=True):
        if "EnvRunner" in child.name():
            spent["env runners"] += sum(child.cpu_times()[:2])
    return spent


def counted(env: str) -> Update:
    """What a synchronous update takes, counted in one gradient step."""
    experiment: Any = experiment_with(env, "ppo", 0)
    with ray_running(experiment):
        algorithm: Any = rllib_config(experiment).build_algo()
        algorithm.train()
        learner = algorithm.learner_group._learner
        experience = algorithm.sample()
        in_sequences = sequences(experience.rewards.shape, learner.memory_steps)
        minibatch = next(learner.shuffled(learner.prepare(experience).columns, in_sequences))
        with counting() as work:
            learner._step(minibatch, learner.get_optimizer())
        parameters = sum(parameter.numel() for parameter in learner.bare_network.parameters())
        algorithm.stop()
    env_steps = experience.env_steps()
    settings = experiment.algo
    return Update(
        env_steps,
        settings.epochs * env_steps // settings.minibatch_size,
        int(work["kernels"]),
        work["operations"],
        parameters,
        round(len(pickle.dumps(experience, protocol=5)) / env_steps, 1),
    )


def fit(
    measured: dict[tuple[str, int], list[Measured]], update: Update, epochs: int
) -> dict[str, Any]:
    """What a core brings as an env runner and as a learner; with it, what was measured here,
    reckoned, and what GPUs would be fed by."""

    def median_of(case: tuple[str, int], kind: str, name: str) -> float:
        return statistics.median(getattr(one, kind)[name] for one in measured[case])

    runner_seconds = median_of(("ppo", 1), "core_seconds_per_1000", "env runners")
    runner = 1_000 / runner_seconds
    here = Here(
        cores=psutil.cpu_count() or 1,
        runner=runner,
        most_cores_a_runner=runner_seconds / median_of(("ppo", 1), "seconds_per_1000", "sampling"),
        learner=1_000 / median_of(("ppo", 1), "core_seconds_per_1000", "command and learner"),
        learner_alone=1_000 / median_of(("ppo", 0), "seconds_per_1000", "learning"),
        epochs=epochs,
    )
    compared = [
        {
            "algo": algo,
            "runners": runners,
            "measured": statistics.median(
                one.env_steps_per_second for one in measured[algo, runners]
            ),
            "reckoned": round(here.reckoned(algo, runners), 1),
        }
        for algo, runners in CASES
        if (algo, runners) not in (("ppo", 0), ("ppo", 1))
    ]
    gpus = [
        {
            "gpu": gpu,
            "learners": learners,
            "minibatches_in_one": larger,
            "env_steps_per_second": round(speed := learning_speed(update, gpu, learners, larger)),
            "runner_cores_to_feed": round(speed / runner, 1),
        }
        for larger in (1, LARGER_MINIBATCHES)
        for gpu in OPERATIONS_A_SECOND
        for learners in LEARNERS
    ]
    return {
        "fitted": asdict(here),
        "update": asdict(update),
        "env_steps_per_second_over_ten_gigabits": round(
            BYTES_A_SECOND_BETWEEN_MACHINES / update.bytes_per_step
        ),
        "here": compared,
        "gpus": gpus,
    }


def draw(
    measured: dict[tuple[str, int], list[Measured]], model: dict[str, Any], path: Path
) -> None:
    figure, (here, reckoned) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for algo, color in (("ppo", "tab:blue"), ("appo", "tab:orange")):
        points = [
            (n, m.env_steps_per_second)
            for (name, n), row in measured.items()
            if name == algo
            for m in row
        ]
        here.scatter(*zip(*points, strict=True), color=color, label=f"{algo}, measured")
        line = [(row["runners"], row["reckoned"]) for row in model["here"] if row["algo"] == algo]
        here.plot(
            *zip(*line, strict=True), "x", color=color, markersize=10, label=f"{algo}, reckoned"
        )
    here.set(
        title="on two cores, without a GPU",
        xlabel="env runners",
        ylabel="env steps/s",
        xticks=[0, 1, 2],
        ylim=0,
    )
    here.legend(frameon=False)
    counts = [2**power for power in range(11)]
    runner = model["fitted"]["runner"]
    of_one = {
        row["gpu"]: row
        for row in model["gpus"]
        if row["learners"] == 1 and row["minibatches_in_one"] > 1
    }
    for (gpu, row), color in zip(
        of_one.items(), ("tab:gray", "tab:green", "tab:red", "tab:purple"), strict=True
    ):
        learner = row["env_steps_per_second"]
        reckoned.plot(counts, [synchronous(n, runner, learner) for n in counts], "--", color=color)
        reckoned.plot(
            counts, [asynchronous(n, runner, learner) for n in counts], color=color, label=gpu
        )
    reckoned.set(
        title=f"reckoned: one GPU learns, {LARGER_MINIBATCHES} minibatches in one",
        xlabel="env runners, a core each",
        ylabel="env steps/s",
        xscale="log",
        yscale="log",
    )
    reckoned.legend(frameon=False, title="whole: appo, broken: ppo")
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    tyro.cli(main)
