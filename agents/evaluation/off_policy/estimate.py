"""All estimates of one policy from one log, with their intervals and whether they can be
trusted."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from agents.evaluation.off_policy.behavior import (
    FITS,
    Calibration,
    calibration,
    fitted_probabilities,
    held_out_probabilities,
)
from agents.evaluation.off_policy.estimators import ESTIMATORS, Trajectories, magic, trajectories
from agents.evaluation.off_policy.fitted_q import FittedQ, TabularQ, fitted_q
from agents.evaluation.off_policy.uncertainty import (
    RESAMPLES,
    Histogram,
    bootstrap,
    effective_sample_size,
    interval,
    mean_weight,
    refusal,
    weight_histogram,
)
from agents.logged.episodes import Episodes
from agents.networks.action_mask import ActionMask
from common.policy import Policy

LOGGED = "logged"
"""The behavior policy's probabilities are those of the log."""
HEADLINE = "weighted DR"
REFITS = 100
"""Resamples on which a tabular model is fitted anew (Hao et al. 2021)."""

OfCounts = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""How often each episode counts, (B, E), -> estimates (B,)."""


@dataclass(frozen=True)
class Estimate:
    value: float
    low: float
    """Of the 95 % bootstrap interval."""
    high: float


@dataclass(frozen=True)
class OffPolicyEvaluation:
    """What a policy would have earned in an episode, by every estimator."""

    estimates: dict[str, Estimate]
    logged: Estimate
    """What the behavior policy earned."""
    discount: float
    episodes: int
    effective_sample_size: float
    """Of the weights of whole episodes."""
    mean_weight: float
    """Of whole episodes; 1 where the log has all that the policy would do."""
    refusal: str
    """Why no estimate should be a headline; empty where `HEADLINE` may be."""
    weights: Histogram
    behavior: str
    """`logged`, or what its probabilities were fitted by."""
    calibration: Calibration
    """Of the behavior policy's probabilities; fitted ones are judged by episodes that they were
    not fitted to."""
    refitted: bool
    """The intervals of the direct method and of MAGIC have the model's own error in them, for it
    was fitted anew to each resample; else they are those of one model, and too narrow."""

    def to_json(self) -> dict[str, Any]:
        """With None for what could not be estimated."""
        return without_nan(asdict(self))


def without_nan(told: Any) -> Any:
    """The same, with None for each number that is none: JSON knows no other."""
    if isinstance(told, dict):
        return {name: without_nan(value) for name, value in told.items()}
    if isinstance(told, list):
        return [without_nan(value) for value in told]
    return None if isinstance(told, float) and not np.isfinite(told) else told


def probabilities_of(policy: Policy, episodes: Episodes) -> NDArray[np.float64]:
    """What a policy would have done at each step and after the last (T + 1, E, A), told step by
    step what was seen.

    Raises ValueError for one that gives doses: what it would have done was never done exactly."""
    decided = []
    nobody = np.zeros_like(episodes.alive[0])
    for step, alive in enumerate([*episodes.alive, nobody]):
        seen = episodes.last_observations.copy()
        if alive.any():
            seen[alive] = episodes.observations[step, alive]
        decided.append(policy(seen, np.full(len(seen), step == 0)))
    probabilities = np.stack(decided).astype(np.float64)
    if not np.isfinite(probabilities).all():
        step, episode = np.argwhere(~np.isfinite(probabilities))[0, :2]
        raise ValueError(
            f"The policy gives no finite numbers at step {step} of the log's episode {episode}."
        )
    if probabilities.ndim != 3 or not np.allclose(probabilities.sum(2), 1):
        raise ValueError(
            "Off-policy estimates need a policy that tells probabilities of actions; this one "
            "gives doses."
        )
    return probabilities


def softened(policy: Policy, epsilon: float, observation_space: gymnasium.Space) -> Policy:
    """The policy that with this chance takes any action instead, of those that are possible where
    observations have a mask."""
    mask = ActionMask(observation_space)

    def soft(observations: NDArray, first: NDArray[np.bool_]) -> NDArray:
        probabilities = policy(observations, first)
        possible = mask.possible(torch.from_numpy(observations))
        anything = np.ones_like(probabilities) if possible is None else possible.numpy()
        return (1 - epsilon) * probabilities + epsilon * anything / anything.sum(1, keepdims=True)

    return soft


def evaluate_off_policy(
    episodes: Episodes,
    target: NDArray[np.float64],
    *,
    behavior: str = LOGGED,
    discount: float = 1.0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> OffPolicyEvaluation:
    """By the probabilities of the target policy (T + 1, E, A), as `probabilities_of` tells them.

    `behavior` is `logged` or a name of `FITS`. Raises ValueError, in one line, for a log that does
    not serve."""
    probabilities, judged = behavior_probabilities(episodes, behavior, target.shape[2])
    total = len(episodes)
    model = fitted_q(episodes, target, discount)
    fitted = partial(halved, model, episodes, target, probabilities, discount)
    everybody = np.ones((1, total))
    log = fitted(everybody[0])

    def spread(estimate: OfCounts, times: int = resamples) -> tuple[float, float]:
        return interval(bootstrap(estimate, total, resamples=times, seed=seed))

    once: dict[str, OfCounts] = {
        name: partial(estimator, log) for name, estimator in ESTIMATORS.items()
    }
    anew: dict[str, OfCounts] = {}
    if isinstance(model, TabularQ):
        once["direct method"] = anew["direct method"] = model.value
        anew["MAGIC"] = lambda counts: np.array(
            [magic(fitted(row), row[None])[0] for row in counts]
        )
    estimates = {}
    for name, of in once.items():
        bounds = spread(anew[name], min(REFITS, resamples)) if name in anew else spread(of)
        estimates[name] = Estimate(float(of(everybody)[0]), *bounds)
    returns = episodes.returns(discount)
    weights = log.log_weights[-1]
    effective = effective_sample_size(weights)
    return OffPolicyEvaluation(
        estimates=estimates,
        logged=Estimate(float(returns.mean()), *spread(lambda counts: counts @ returns / total)),
        discount=discount,
        episodes=total,
        effective_sample_size=effective,
        mean_weight=mean_weight(weights),
        refusal=refusal(effective, total, mean_weight(weights)),
        weights=weight_histogram(weights),
        behavior=behavior,
        calibration=calibration(judged[episodes.alive], episodes.actions[episodes.alive]),
        refitted=isinstance(model, TabularQ),
    )


def behavior_probabilities(
    episodes: Episodes, behavior: str, number: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(T, E, A), as they were logged or fitted, for the weights and for the calibration. Raises
    ValueError where there are none, or of other actions."""
    if episodes.actions.ndim != 2:
        raise ValueError("Off-policy estimates need discrete actions; these episodes have doses.")
    known = (episodes.actions >= 0) & (episodes.actions < number)
    if not known.all():
        raise ValueError(
            f"The policy has {number} actions, and the log has action "
            f"{episodes.actions[~known][0]}."
        )
    if behavior != LOGGED:
        fit = FITS[behavior]
        return fitted_probabilities(episodes, fit, number), held_out_probabilities(
            episodes, fit, number
        )
    logged = episodes.probabilities
    if not logged.shape[2]:
        raise ValueError(
            f"The log has no probabilities; the behavior policy must be fitted, by "
            f"{', '.join(FITS)}."
        )
    if logged.shape[2] != number:
        raise ValueError(f"The policy has {number} actions, the log has {logged.shape[2]}.")
    return logged, logged


def halved(
    model: FittedQ,
    episodes: Episodes,
    target: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    discount: float,
    counts: NDArray[np.float64],
) -> Trajectories:
    """What the estimators read, each half of the episodes with the model fitted to the other half:
    no episode corrects a model that knew it (Jiang and Li 2016, section 4)."""
    half = np.arange(len(episodes)) % 2 == 0
    taken = episodes.actions[..., None]
    of_odd, of_even = (model.values(counts * rows) for rows in (~half, half))
    q, v = (np.where(half, *both) for both in zip(of_odd, of_even, strict=True))
    of_behavior, of_target = (
        np.take_along_axis(column, taken, 2)[..., 0] for column in (probabilities, target[:-1])
    )
    return trajectories(episodes.rewards, episodes.alive, of_behavior, of_target, q, v, discount)
