"""How sure an off-policy estimate is: bootstrap over episodes, effective sample size, and when to
refuse a headline."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
MIN_EFFECTIVE_EPISODES = 50
MIN_EFFECTIVE_SHARE = 0.05
"""Below either of them an estimate rests on a few episodes (reviewers' rule, as in Gottesman et al.
2018)."""
MAX_OFF_ONE = 0.3
"""How far the mean of the weights may be from its expectation; ours."""
LARGEST_LOGARITHM = 700.0  # beyond it a float64 overflows
MAX_COUNTS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Histogram:
    """How many episodes have which weight, as a power of ten; those of weight zero stand apart."""

    edges: list[float]
    """log10 of a weight, one more than there are counts."""
    counts: list[int]
    zeros: int


def resampled(episodes: int, resamples: int, random: np.random.Generator) -> NDArray[np.float64]:
    """How often each of E episodes is in each of B samples drawn with replacement, (B, E)."""
    drawn = (
        random.integers(episodes, size=(resamples, episodes))
        + episodes * np.arange(resamples)[:, None]
    )
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def bootstrap(
    estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    episodes: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """What an estimate is on so many resamples of the episodes (Efron 1979), (B,).

    `estimate` takes how often each episode counts, (B, E), and returns (B,)."""
    random = np.random.default_rng(seed)
    at_once = max(1, MAX_COUNTS_AT_ONCE // episodes)
    sizes = [min(at_once, resamples - start) for start in range(0, resamples, at_once)]
    return np.concatenate([estimate(resampled(episodes, size, random)) for size in sizes])


def interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of what a bootstrap returned; nan where a resample has no
    estimate."""
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def effective_sample_size(log_weights: NDArray[np.float64]) -> float:
    """(sum w)^2 / sum w^2 of the logarithms of E weights (Kish 1965); 0 where all weights are
    zero."""
    most = log_weights.max()
    if most == -np.inf:
        return 0.0
    weights = np.exp(log_weights - most)
    return float(weights.sum() ** 2 / (weights**2).sum())


def weight_histogram(log_weights: NDArray[np.float64], bins: int = 20) -> Histogram:
    """Of the logarithms (to the base e) of E weights."""
    positive = log_weights[log_weights > -np.inf] / np.log(10)
    counts, edges = np.histogram(positive, bins)
    return Histogram(edges.tolist(), counts.tolist(), len(log_weights) - len(positive))


def mean_weight(log_weights: NDArray[np.float64]) -> float:
    """Of the logarithms of E weights. Its expectation is 1; it falls short where what the policy
    would do is so rare in the log that the weights that make up for it are not there."""
    return float(np.exp(np.minimum(log_weights, LARGEST_LOGARITHM)).mean())


def refusal(effective: float, episodes: int, mean: float) -> str:
    """Why no estimate of these episodes should be a headline, in one line; empty where one may be.
    `mean` is that of the weights."""
    needed = max(MIN_EFFECTIVE_EPISODES, MIN_EFFECTIVE_SHARE * episodes)
    if effective < needed:
        return (
            f"The effective sample size is {effective:,.1f} of {episodes:,} episodes; a headline "
            f"needs {needed:,.0f} "
            f"({MIN_EFFECTIVE_EPISODES}, and {MIN_EFFECTIVE_SHARE:.0%} of the episodes)."
        )
    if abs(mean - 1) > MAX_OFF_ONE:
        return (
            f"The weights' mean is {mean:.2f}; a headline needs {1 - MAX_OFF_ONE:.1f} to "
            f"{1 + MAX_OFF_ONE:.1f}, as "
            "it would be 1 if what the policy would do were in the log as often as it is likely."
        )
    return ""
