"""How a run's speed grows with its env runners, measured here and reckoned for more: python benchmarks/scaling.py

PPO on Space Invaders, synchronous and asynchronous, with 0, 1 and 2 env runners in turn: env steps a second, what each
phase and each process takes of the cores, and what crosses the object store. From the fits: how many env runners a
learner of a given speed can use.
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
import psutil
import tyro
from speed import surroundings

from agents.cluster import ray_running
from agents.engine.config import rllib_config
from agents.experiment import Experiment
from scripts import recipes

WARM_UP_ITERATIONS = 3
LEARNERS = {
    "this machine, two cores": None,
    "2,000 steps/s": 2_000.0,
    "8,000 steps/s": 8_000.0,
    "32,000 steps/s": 32_000.0,
}
"""Env steps a second that a learner could learn from; None as measured here."""


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
    seconds: float = 30.0, rounds: int = 3, output: Path = ROOT / "benchmarks" / "results" / "scaling.json"
) -> None:
    """Measures, fits, draws.

    Args:
        seconds: Of each measurement.
        rounds: How often each is measured.
        output: The numbers; the picture lies beside it.
    """
    cases = [("ppo", 0), ("ppo", 1), ("ppo", 2), ("appo", 1), ("appo", 2)]
    measured: dict[tuple[str, int], list[Measured]] = {case: [] for case in cases}
    for number in range(rounds):
        for case in cases if number % 2 == 0 else cases[::-1]:
            measured[case].append(measure(*case, seconds))
            print(f"round {number + 1} of {rounds}: {measured[case][-1]}", flush=True)
    model = fit(measured)
    told = {
        "command": " ".join(["python benchmarks/scaling.py", *sys.argv[1:]]),
        **surroundings(),
        "measured": [asdict(one) for row in measured.values() for one in row],
        "model": model,
    }
    output.write_text(json.dumps(told, indent=1) + "\n")
    draw(measured, model, output.with_suffix(".png"))
    print(json.dumps(model, indent=1))


def measure(algo: str, runners: int, seconds: float) -> Measured:
    base = recipes.recipe_named(algo)(recipes.environment_named("SpaceInvaders"))
    experiment: Experiment = replace(base, num_env_runners=runners, total_env_steps=10_000_000)
    with ray_running(experiment):
        algorithm: Any = rllib_config(experiment).build_algo()
        for _ in range(WARM_UP_ITERATIONS):
            algorithm.train()
        algorithm.seconds.clear()
        steps, cores, started = algorithm.env_steps, core_seconds(), time.perf_counter()
        while time.perf_counter() - started < seconds:
            algorithm.train()
        elapsed, thousands = time.perf_counter() - started, (algorithm.env_steps - steps) / 1_000
        used = {name: spent - cores.get(name, 0.0) for name, spent in core_seconds().items()}
        weights = sum(weight.nbytes for weight in algorithm.network_state().values())
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


def fit(measured: dict[tuple[str, int], list[Measured]]) -> dict[str, Any]:
    """What one env runner on a core of its own brings, and what the learner here takes, env steps a second."""
    one = measured["appo", 1]
    runner = 1_000 / statistics.median(m.core_seconds_per_1000["env runners"] for m in one)
    learner = 1_000 / statistics.median(m.seconds_per_1000["learning"] for m in measured["ppo", 0])
    return {
        "runner_steps_per_core_second": round(runner, 1),
        "learner_steps_per_second": round(learner, 1),
        "runners_to_feed": {name: round((speed or learner) / runner, 1) for name, speed in LEARNERS.items()},
    }


def synchronous(runners: float, runner: float, learner: float) -> float:
    """Env steps a second where sampling and learning take turns."""
    return 1 / (1 / learner + 1 / (runners * runner))


def asynchronous(runners: float, runner: float, learner: float) -> float:
    """Where they go on at the same time: the slower one decides."""
    return min(learner, runners * runner)


def draw(measured: dict[tuple[str, int], list[Measured]], model: dict[str, Any], path: Path) -> None:
    figure, (here, reckoned) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for algo, colour in (("ppo", "tab:blue"), ("appo", "tab:orange")):
        points = [(n, m.env_steps_per_second) for (name, n), row in measured.items() if name == algo for m in row]
        here.scatter(*zip(*points, strict=True), color=colour, label=algo)
    here.set(title="measured on two cores", xlabel="env runners", ylabel="env steps/s", xticks=[0, 1, 2], ylim=0)
    here.legend(frameon=False)
    counts = [2**power for power in range(9)]
    runner = model["runner_steps_per_core_second"]
    for (name, speed), colour in zip(LEARNERS.items(), ("tab:gray", "tab:green", "tab:red", "tab:purple"), strict=True):
        learner = speed or model["learner_steps_per_second"]
        reckoned.plot(counts, [synchronous(n, runner, learner) for n in counts], "--", color=colour)
        reckoned.plot(counts, [asynchronous(n, runner, learner) for n in counts], color=colour, label=f"learner {name}")
    reckoned.set(title="reckoned: a core for each env runner", xlabel="env runners", xscale="log", yscale="log")
    reckoned.legend(frameon=False, title="whole: appo, broken: ppo")
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    tyro.cli(main)
