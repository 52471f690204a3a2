"""What a policy would earn, from episodes in which another one decided.

An episode's weight at step t is the product of target / behavior probabilities of the actions up
to it. An episode that has ended is in an absorbing state without reward, in which both policies do
the same: its weight stays at its last value, and counts in the denominators of the weighted
per-decision estimators (Thomas and Brunskill 2016).

Every estimator takes how often each of E episodes counts, (B, E), and returns the estimates (B,):
ones for the episodes as they are, multinomial draws for a bootstrap. Weighted estimators are nan
where all weights are zero."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from agents.evaluation.off_policy.uncertainty import resampled

MAGIC_RESAMPLES = 200
"""For the interval that MAGIC's bias is measured from; ours."""
MAGIC_QUANTILES = (0.05, 0.95)
MAX_LENGTHS = 25
"""Of partial returns that MAGIC blends; of longer episodes they are spread evenly."""


@dataclass(frozen=True)
class Trajectories:
    """E logged episodes of at most T steps, as the estimators read them; zeros after an episode's
    end."""

    rewards: NDArray[np.float64]
    """(T, E)."""
    log_weights: NDArray[np.float64]
    """(T, E), logarithm of the product of all ratios up to and with each step; minus infinity from
    an action on that the target policy never takes. After an episode's end it stays."""
    q: NDArray[np.float64]
    """(T, E), what a model says each action that was taken is worth under the target policy; zeros
    without a model."""
    v: NDArray[np.float64]
    """(T, E), the same of each observation."""
    discount: float = 1.0

    def __len__(self) -> int:
        return self.rewards.shape[1]

    @property
    def discounts(self) -> NDArray[np.float64]:
        """(T, 1)."""
        return self.discount ** np.arange(len(self.rewards), dtype=np.float64)[:, None]

    @property
    def log_weights_before(self) -> NDArray[np.float64]:
        """(T, E), of the steps before each."""
        return np.concatenate([np.zeros_like(self.log_weights[:1]), self.log_weights[:-1]])


Estimator = Callable[[Trajectories, NDArray[np.float64]], NDArray[np.float64]]


def trajectories(
    rewards: NDArray[np.float64],
    alive: NDArray[np.bool_],
    behavior: NDArray[np.float64],
    target: NDArray[np.float64],
    q: NDArray[np.float64] | None = None,
    v: NDArray[np.float64] | None = None,
    discount: float = 1.0,
) -> Trajectories:
    """From the probabilities that both policies gave to the actions taken; all (T, E).

    Raises ValueError for an action that the behavior policy never takes."""
    impossible = alive & (behavior <= 0)
    if impossible.any():
        step, episode = np.argwhere(impossible)[0]
        raise ValueError(
            f"The behavior policy gives no probability to the action at step {step} of episode "
            f"{episode}, which was "
            "taken; log what it really was, or fit it to the actions."
        )
    # After an end both are 1; a target probability of 0 has the logarithm -inf, a weight of 0.
    with np.errstate(divide="ignore"):
        ratios = np.log(np.where(alive, target, 1.0)) - np.log(np.where(alive, behavior, 1.0))
    q, v = (
        np.zeros_like(rewards) if given is None else np.where(alive, given, 0.0) for given in (q, v)
    )
    return Trajectories(np.where(alive, rewards, 0.0), ratios.cumsum(0), q, v, discount)


def importance_sampling(log: Trajectories, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """IS: whole returns, each by the weight of its whole episode (Precup et al. 2000)."""
    returns = (log.discounts * log.rewards).sum(0)
    return counts @ (np.exp(log.log_weights[-1]) * returns) / counts.sum(1)


def weighted_importance_sampling(
    log: Trajectories, counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """WIS: the same, divided by the sum of the weights; within what returns were seen."""
    returns = (log.discounts * log.rewards).sum(0)
    return _weighted(counts, log.log_weights[-1:], returns[None])[:, 0]


def per_decision(log: Trajectories, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """PDIS: each reward by the weight of the steps that led to it (Precup et al. 2000)."""
    return counts @ (log.discounts * np.exp(log.log_weights) * log.rewards).sum(0) / counts.sum(1)


def weighted_per_decision(log: Trajectories, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted PDIS: each step's rewards divided by the sum of the weights at that step."""
    return _weighted(counts, log.log_weights, log.rewards) @ log.discounts[:, 0]


def doubly_robust(log: Trajectories, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """DR: the model's value plus an importance-weighted correction of its errors (Jiang and Li
    2016, equation 10, unrolled)."""
    wrong = np.exp(log.log_weights) * (log.rewards - log.q) + np.exp(log.log_weights_before) * log.v
    return counts @ (log.discounts * wrong).sum(0) / counts.sum(1)


def weighted_doubly_robust(log: Trajectories, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted DR: the same, each step divided by the sum of its weights (Thomas and Brunskill
    2016, equation 8)."""
    wrong = _weighted(counts, log.log_weights, log.rewards - log.q)
    return (wrong + _weighted(counts, log.log_weights_before, log.v)) @ log.discounts[:, 0]


def direct_method(log: Trajectories, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """DM: what the model says of each first observation, without any weight."""
    return counts @ log.v[0] / counts.sum(1)


def magic(log: Trajectories, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """MAGIC: partial returns, weighted DR up to step j and the model from there, blended so that
    the estimated squared error is least (Thomas and Brunskill 2016, section 6).

    Their covariance is that of the episodes; their bias is how far they are outside the 90 %
    bootstrap interval of weighted DR. The interval of a resample is that of all episodes, moved to
    its own weighted DR."""
    center = weighted_doubly_robust(log, counts)
    spread = weighted_doubly_robust(
        log, resampled(len(log), MAGIC_RESAMPLES, np.random.default_rng(0))
    )
    low, high = np.quantile(spread, MAGIC_QUANTILES) - weighted_doubly_robust(
        log, np.ones((1, len(log)))
    )
    bounds = zip(center + min(low, 0.0), center + max(high, 0.0), strict=True)
    return np.array(
        [_blended(log, row, *between) for row, between in zip(counts, bounds, strict=True)]
    )


ESTIMATORS: dict[str, Estimator] = {
    "IS": importance_sampling,
    "WIS": weighted_importance_sampling,
    "PDIS": per_decision,
    "weighted PDIS": weighted_per_decision,
    "DR": doubly_robust,
    "weighted DR": weighted_doubly_robust,
    "MAGIC": magic,
    "direct method": direct_method,
}


def _weighted(
    counts: NDArray[np.float64], log_weights: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted means of values (T, E) at each step, (B, T)."""
    weights = _scaled(log_weights)
    with np.errstate(invalid="ignore"):
        return (counts @ (weights * values).T) / (counts @ weights.T)


def _scaled(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (T, E) of which each step's largest is 1, so that none overflows; zeros where all are
    zero."""
    most = log_weights.max(1, keepdims=True)
    return np.exp(log_weights - np.where(most > -np.inf, most, 0.0))


def _blended(log: Trajectories, counts: NDArray[np.float64], low: float, high: float) -> float:
    """MAGIC with the episodes counted so often (E,)."""
    if not np.isfinite(low + high):
        return np.nan
    seen = counts > 0
    counts = counts[seen]
    steps = len(log.rewards)
    now, before = (_scaled(w)[:, seen] for w in (log.log_weights, log.log_weights_before))
    now, before = (weights / (weights @ counts)[:, None] for weights in (now, before))
    wrong = (log.discounts * now * (log.rewards - log.q)[:, seen]).cumsum(0)
    model = (log.discounts * before * log.v[:, seen]).cumsum(0)
    lengths = np.unique(np.linspace(0, steps, min(steps + 1, MAX_LENGTHS)).round().astype(np.int64))
    # Of each length (J) what each episode adds to the partial return: nothing is left to the model
    # after the last step.
    parts = (
        np.concatenate([np.zeros_like(wrong[:1]), wrong])[lengths]
        + model[np.minimum(lengths, steps - 1)]
    )
    partial = parts @ counts
    number = counts.sum()
    apart = parts - partial[:, None] / number
    covariance = number / max(number - 1, 1) * (apart * counts) @ apart.T
    bias = partial - np.clip(partial, low, high)
    return float(_least_on_simplex(covariance + np.outer(bias, bias)) @ partial)


def _least_on_simplex(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative x with sum 1 and the least x' M x, for a positive semi-definite M (J, J).

    With M = A'A, least |A x|^2 + (1 - sum x)^2 over all non-negative x has the same x but for its
    scale."""
    values, vectors = np.linalg.eigh(matrix)
    if values[-1] <= 0:
        return np.eye(len(matrix))[-1]
    root = np.sqrt(np.maximum(values / values[-1], 0.0))[:, None] * vectors.T
    found, _ = nnls(np.vstack([root, np.ones(len(matrix))]), np.append(np.zeros(len(matrix)), 1.0))
    return found / found.sum()
