"""A policy beside those of clinicians: what it does for patients, how it doses, where it goes
wrong."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.environments import close
from agents.evaluation.evaluate import batch_of_one
from agents.interfaces import Environment
from agents.logged.episodes import Episodes, drawn
from agents.monitoring.progress import Advance, unseen
from common.policy import Policy

Make = Callable[[Any], Policy]
"""A policy for an environment, or for a vector of them."""
DOSE_BINS = 12
RESAMPLES = 2_000


def compared(played: Mapping[str, Sequence[Episodes]], agent: str) -> dict[str, dict[str, Any]]:
    """Of each policy, which may have been trained several times, the same patients with each:
    return, clinical metrics, cost, the share of episodes that had any, and by how much the agent's
    return is above, patient by patient."""
    own = np.mean([episodes.returns() for episodes in played[agent]], 0)
    told = {}
    for name, trained in played.items():
        returns = [episodes.returns() for episodes in trained]
        costs = [episodes.costs.sum(0) for episodes in trained]
        metrics = [metric for metric in trained[0].metrics if metric != "cost"]
        told[name] = {
            "return": summary(returns),
            "agent_is_above_by": summary([own - np.mean(returns, 0)]),
            "metrics": {
                metric: summary([episodes.metrics[metric] for episodes in trained])
                for metric in metrics
            },
            "cost": summary(costs),
            "episodes_with_cost": summary([(cost > 0).astype(float) for cost in costs]),
        }
    return told


def summary(by_training: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Of patients (E,) under a policy that was trained once or more: the mean of what is known, its
    95 % interval by a bootstrap of trainings and then of patients, and the mean of each training.

    None where nothing is known."""
    known = [values[~np.isnan(values)] for values in by_training]
    known = [values for values in known if len(values)]
    if not known:
        return {"mean": None, "ci95": None, "by_training": []}
    return {
        "mean": float(np.mean([values.mean() for values in known])),
        "ci95": interval(known),
        "by_training": [float(values.mean()) for values in known],
    }


def interval(by_training: Sequence[NDArray[np.float64]]) -> list[float]:
    """95 % percentile interval of the mean over trainings of the mean over patients, both drawn
    with replacement."""
    random = np.random.default_rng(0)
    each = [
        values[random.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
        for values in by_training
    ]
    trainings = random.integers(len(each), size=(RESAMPLES, len(each)))
    means = np.stack(each, 1)[np.arange(RESAMPLES)[:, None], trainings].mean(1)
    return np.percentile(means, (2.5, 97.5)).tolist()


def doses(
    played: Mapping[str, Sequence[Episodes]],
    names: Sequence[str],
    space: Any,
    given: Mapping[str, NDArray],
) -> list[dict[str, Any]]:
    """How often each of these policies gives how much, a histogram for each dose: `title`, `labels`
    and shares by policy.

    `given` is what actions give, by name: of each discrete action (A,), or for each number of a Box
    in turn what numbers at equal distances from its lowest to its highest do, linear in between."""
    taken = {
        name: np.concatenate([episodes.actions[episodes.alive] for episodes in played[name]])
        for name in names
    }
    told = []
    for column, (title, amounts) in enumerate(given.items()):
        if isinstance(space, Discrete):
            labels = np.unique(amounts)
            shares = {
                name: (amounts[actions, None] == labels).mean(0) for name, actions in taken.items()
            }
        else:
            edges = np.linspace(amounts[0], amounts[-1], DOSE_BINS + 1)
            numbers = np.linspace(space.low[column], space.high[column], len(amounts))
            labels = edges[:-1]
            shares = {}
            for name, actions in taken.items():
                values = np.interp(actions[:, column], numbers, amounts)
                shares[name] = np.histogram(values, edges)[0] / len(values)
        listed = {name: values.tolist() for name, values in shares.items()}
        told.append(
            {"title": title, "labels": [f"{label:.3g}" for label in labels], "shares": listed}
        )
    return told


def trajectories(
    environment: Environment,
    agent: Make,
    usual: Make,
    seeds: Sequence[int],
    shown: int,
    advance: Advance = unseen,
) -> dict[str, list[dict[str, Any]]]:
    """Of patients with these seeds, the `worst` by their return, and the most `divergent`: where
    the agent did other than usual care would have with the same readings. Each with its `chart` as
    PNG."""
    found = []
    for seed in seeds:
        found.append(_followed(environment, agent, usual, seed))
        advance()
    worst = sorted(found, key=lambda one: one["return"])[:shown]
    divergent = sorted(found, key=lambda one: -one["divergence"])[:shown]
    return {"worst": worst, "divergent": divergent}


def _followed(environment: Environment, agent: Make, usual: Make, seed: int) -> dict[str, Any]:
    env: Any = environment.build()
    ours = agent(env)
    theirs = usual(env)
    random = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    first = np.ones(1, np.bool_)
    total = 0.0
    cost = 0.0
    apart = []
    while True:
        rows: Any = batch_of_one(observation)
        decided = ours(rows, first)
        expected = theirs(rows, first)
        apart.append(divergence(decided, expected, env.action_space))
        [action] = drawn(decided, random) if isinstance(env.action_space, Discrete) else decided
        observation, reward, terminated, truncated, info = env.step(action)
        total = total + float(reward)
        cost = cost + float(info.get("cost", 0.0))
        first = np.zeros(1, np.bool_)
        if terminated or truncated:
            break
    _, png = cv2.imencode(".png", env.render()[..., ::-1])
    close(env)
    return {
        "seed": seed,
        "return": total,
        "cost": cost,
        "steps": len(apart),
        "divergence": float(np.mean(apart)),
        "chart": png.tobytes(),
    }


def divergence(one: NDArray, other: NDArray, space: Any) -> float:
    """Between two decisions about one patient (1, ...), in [0, 1]: total variation of the
    probabilities, or the mean distance of the doses as a share of their range."""
    if isinstance(space, Discrete):
        return float(np.abs(one - other).sum() / 2)
    return float((np.abs(one - other) / (space.high - space.low)).mean())
