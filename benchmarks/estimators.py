"""Off-policy estimators against exact values: python benchmarks/estimators.py

The truth is ICU-Sepsis's, by dynamic programming. Logs of clinicians (their policy is known) are
drawn again and again; of each, every estimator says what a target policy would have survived. A
right 95 % interval holds the truth in 95 of 100 logs."""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agents.evaluation.off_policy.estimate import OffPolicyEvaluation, evaluate_off_policy
from agents.logged.episodes import Episodes, drawn
from envs.health.core.tabular import expected_return, optimal_policy
from envs.health.sepsis_icu import DEATH, STATES, sampler, tables

SHARES = {"a quarter optimal": 0.25, "half optimal": 0.5, "clinicians": 0.0}
"""Of the best admissible actions in the target policy; the rest is clinicians'."""


def main(
    replications: int = 200,
    episodes: int = 500,
    resamples: int = 200,
    targets: tuple[str, ...] = tuple(SHARES),
    behavior: str = "logged",
    output: Path = ROOT / "benchmarks" / "results" / "off_policy" / "estimators.json",
) -> None:
    """Bias, standard deviation, root mean squared error and coverage of every estimator.

    Args:
        replications: Logs.
        episodes: Patients in each.
        resamples: For each interval.
        targets: Which policies are estimated.
        behavior: logged, or what the clinicians' policy is fitted by, such as counts.
        output: The figures.
    """
    clinicians = tables().clinicians
    best = optimal_policy(tables().model, allowed=tables().admissible)
    told: dict[str, Any] = {
        "command": " ".join(["python benchmarks/estimators.py", *sys.argv[1:]]),
        "replications": replications,
        "episodes": episodes,
        "resamples": resamples,
        "behavior": behavior,
        "targets": {},
    }
    for name in targets:
        policy = (1 - SHARES[name]) * clinicians + SHARES[name] * best
        truth = expected_return(tables().model, policy)
        begun = time.time()
        found = [
            evaluate_off_policy(
                log, followed_by(policy, log), behavior=behavior, resamples=resamples, seed=seed
            )
            for seed, log in enumerate(logs(clinicians, episodes, replications))
        ]
        told["targets"][name] = summary(found, truth) | {"seconds": round(time.time() - begun)}
        print(report(name, told["targets"][name]), flush=True)
        output.write_text(json.dumps(told, indent=1) + "\n")


def logs(policy: NDArray[np.float64], episodes: int, replications: int) -> Any:
    """So many logs of so many patients under a policy (S, A), each drawn apart."""
    for seed in range(replications):
        yield simulated(policy, episodes, np.random.default_rng([seed, 20_261_126]))


def simulated(policy: NDArray[np.float64], episodes: int, random: np.random.Generator) -> Episodes:
    """Patients until death or survival; an observation is the number of the state."""
    start = tables().model.start.cumsum()
    states = np.searchsorted(start, random.random(episodes) * start[-1], side="right")
    alive = states < DEATH
    last = states.copy()
    columns = []
    while alive.any():
        rows = np.flatnonzero(alive)
        before = states.copy()
        probabilities = np.zeros((episodes, policy.shape[1]))
        actions = np.zeros(episodes, np.int64)
        probabilities[rows] = policy[states[rows]]
        actions[rows] = drawn(probabilities[rows], random)
        states[rows] = sampler()(states[rows], actions[rows], random)
        rewards = np.where(alive, states == DEATH + 1, False).astype(np.float64)
        columns.append((np.where(alive, before, 0), actions, rewards, probabilities, alive))
        last[rows] = states[rows]
        alive = alive & (states < DEATH)
    seen, actions, rewards, probabilities, lived = (
        np.stack(column) for column in zip(*columns, strict=True)
    )
    ends = np.ones(episodes, np.bool_)
    return Episodes(
        seen[..., None],
        actions,
        rewards,
        np.zeros_like(rewards),
        probabilities,
        lived,
        ends,
        last[:, None],
        {},
    )


def followed_by(policy: NDArray[np.float64], log: Episodes) -> NDArray[np.float64]:
    """What a policy (S, A) would do at each step, and after the last (T + 1, E, A)."""
    states = np.where(log.alive, log.observations[..., 0], log.last_observations[:, 0])
    return policy[np.concatenate([states, log.last_observations[None, :, 0]])]


def summary(found: list[OffPolicyEvaluation], truth: float) -> dict[str, Any]:
    """Of every estimator over the logs."""
    told: dict[str, Any] = {"truth": truth, "states": STATES}
    told["logged"] = float(np.mean([one.logged.value for one in found]))
    told["effective_sample_size"] = float(np.mean([one.effective_sample_size for one in found]))
    told["refused"] = float(np.mean([bool(one.refusal) for one in found]))
    told["behavior_calibration_error"] = float(
        np.mean([one.calibration.expected_error for one in found])
    )
    told["estimators"] = {}
    for name in found[0].estimates:
        values, low, high = np.array(
            [list(asdict(one.estimates[name]).values()) for one in found]
        ).T
        told["estimators"][name] = {
            "bias": float(values.mean() - truth),
            "standard_error_of_bias": float(values.std(ddof=1) / np.sqrt(len(found))),
            "standard_deviation": float(values.std(ddof=1)),
            "root_mean_squared_error": float(np.sqrt(((values - truth) ** 2).mean())),
            "coverage": float(((low <= truth) & (truth <= high)).mean()),
            "interval_width": float((high - low).mean()),
        }
    return told


def report(name: str, told: dict[str, Any]) -> str:
    lines = [
        f"{name}: truth {told['truth']:.4f}, logged {told['logged']:.4f}, effective sample size "
        f"{told['effective_sample_size']:.1f}, refused {told['refused']:.0%}, {told['seconds']} s"
    ]
    for estimator, one in told["estimators"].items():
        lines.append(
            f"  {estimator:<14} bias {one['bias']:+.4f} (+-{one['standard_error_of_bias']:.4f})  "
            "deviation "
            f"{one['standard_deviation']:.4f}  error {one['root_mean_squared_error']:.4f}  "
            "coverage "
            f"{one['coverage']:.1%}  width {one['interval_width']:.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    tyro.cli(main)
