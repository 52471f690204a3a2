"""The policy that decided, where the log does not say with which probabilities; and how far to
trust what is found.

The weights of episodes are by a fit to these very episodes, which varies less than even the true
probabilities (Hanna, Niekum and Stone 2019): by a fit to others, what was done once would be next
to impossible. How good a fit is, is judged by other episodes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from agents.evaluation.off_policy.fitted_q import fingerprints, states_of
from agents.evaluation.off_policy.small_network import BATCH, SmallNetwork, flat
from agents.logged.episodes import Episodes

FOLDS = 5
BINS = 10
EPOCHS = 20

Fitted = Callable[[NDArray], NDArray[np.float64]]
"""Observations (N, I) -> probabilities of the actions (N, A), none of them zero."""
Fit = Callable[[NDArray, NDArray[np.int64], int], Fitted]
"""Observations (N, I), the actions taken (N,), how many actions there are -> what was fitted."""


@dataclass(frozen=True)
class Calibration:
    """How well probabilities tell what is done, over all steps and actions."""

    predicted: list[float]
    """Reliability curve: mean probability of each bin that is not empty."""
    observed: list[float]
    """How often these actions were taken."""
    number: list[int]
    """Of steps and actions in it."""
    expected_error: float
    """Expected calibration error: |predicted - observed|, weighted by how many there are (Naeini et
    al. 2015), here of all actions and not of the likeliest alone."""
    brier: float
    """Squared error, summed over the actions, mean over the steps (Brier 1950): 0 to 2."""
    brier_of_frequencies: float
    """The same of a policy that takes actions as often as they were taken, whatever it sees."""


def by_counts(observations: NDArray, actions: NDArray[np.int64], number: int) -> Fitted:
    """How often each action was taken in each state, with one more step there like the mean of
    all."""
    unique, states = np.unique(fingerprints(observations), return_inverse=True)
    usual = frequencies(actions, number)
    taken = np.bincount(states * number + actions, minlength=len(unique) * number).reshape(
        -1, number
    )

    def fitted(seen: NDArray) -> NDArray[np.float64]:
        keys = fingerprints(seen)
        # For a state that was never seen this is another one's row, whose counts are not taken.
        rows = np.minimum(np.searchsorted(unique, keys), len(unique) - 1)
        counts = np.where((unique[rows] == keys)[:, None], taken[rows], 0)
        return (counts + usual) / (counts.sum(1, keepdims=True) + 1)

    return fitted


def by_logistic_regression(
    observations: NDArray, actions: NDArray[np.int64], number: int
) -> Fitted:
    """Multinomial, on standardized readings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return _of_classes(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
        observations,
        actions,
        number,
    )


def by_boosting(observations: NDArray, actions: NDArray[np.int64], number: int) -> Fitted:
    """Gradient-boosted trees, stopped early on steps set apart."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(max_iter=100, early_stopping=True, random_state=0)  # pyright: ignore
    return _of_classes(trees, observations, actions, number)


def by_network(observations: NDArray, actions: NDArray[np.int64], number: int) -> Fitted:
    """A small network, for so many passes over the steps."""
    network = SmallNetwork(observations, number, seed=0)
    inputs = torch.from_numpy(observations)
    taken = torch.from_numpy(actions)
    steps = EPOCHS * (len(inputs) // BATCH + 1)
    network.descend(
        lambda rows: cross_entropy(network(inputs[rows]), taken[rows]), len(inputs), steps
    )
    usual = frequencies(actions, number)

    def fitted(seen: NDArray) -> NDArray[np.float64]:
        found = network.read(torch.from_numpy(seen)).softmax(1).double().numpy()
        return (len(actions) * found + usual) / (len(actions) + 1)

    return fitted


FITS: dict[str, Fit] = {
    "counts": by_counts,
    "logistic": by_logistic_regression,
    "boosting": by_boosting,
    "network": by_network,
}


def suited(episodes: Episodes) -> str:
    """Counts where the observations are a finite set of states, else a network."""
    return "network" if states_of(episodes) is None else "counts"


def fitted_probabilities(episodes: Episodes, fit: Fit, number: int) -> NDArray[np.float64]:
    """Of each of so many actions (T, E, A), by a fit to all of the episodes; zeros after the
    ends."""
    return _fitted(episodes, fit, number, episodes.alive, episodes.alive)


def held_out_probabilities(
    episodes: Episodes, fit: Fit, number: int, folds: int = FOLDS
) -> NDArray[np.float64]:
    """The same, each fold of the episodes by a fit to the others."""
    if len(episodes) < folds:
        raise ValueError(
            f"A behavior policy is fitted to at least {folds} episodes, not to {len(episodes)}."
        )
    own = np.arange(len(episodes)) % folds == np.arange(folds)[:, None]
    parts = (
        _fitted(episodes, fit, number, episodes.alive & ~fold, episodes.alive & fold)
        for fold in own
    )
    return np.sum(list(parts), 0)


def _fitted(
    episodes: Episodes, fit: Fit, number: int, known: NDArray[np.bool_], asked: NDArray[np.bool_]
) -> NDArray[np.float64]:
    seen = flat(episodes.observations, 2)
    probabilities = np.zeros((*episodes.alive.shape, number))
    probabilities[asked] = fit(seen[known], episodes.actions[known], number)(seen[asked])
    return probabilities


def calibration(
    probabilities: NDArray[np.float64], actions: NDArray[np.int64], bins: int = BINS
) -> Calibration:
    """Of probabilities (N, A) for the actions that were taken (N,), in bins of equal width."""
    taken = np.eye(probabilities.shape[1])[actions]
    bin_of = np.minimum((probabilities * bins).astype(np.int64), bins - 1).ravel()
    number = np.bincount(bin_of, minlength=bins)
    used = number > 0
    predicted = np.bincount(bin_of, probabilities.ravel(), bins)[used] / number[used]
    observed = np.bincount(bin_of, taken.ravel(), bins)[used] / number[used]
    share = number[used] / number.sum()
    return Calibration(
        predicted=predicted.tolist(),
        observed=observed.tolist(),
        number=number[used].tolist(),
        expected_error=float(share @ np.abs(predicted - observed)),
        brier=float(((probabilities - taken) ** 2).sum(1).mean()),
        brier_of_frequencies=float(1 - (taken.mean(0) ** 2).sum()),
    )


def frequencies(actions: NDArray[np.int64], number: int) -> NDArray[np.float64]:
    """How often each action was taken, with one more of each: (A,)."""
    return (np.bincount(actions, minlength=number) + 1) / (len(actions) + number)


def _of_classes(
    classifier: Any, observations: NDArray, actions: NDArray[np.int64], number: int
) -> Fitted:
    """scikit-learn's classes are the actions it saw; with one more step like the mean of all, no
    action is zero."""
    classifier.fit(observations, actions)
    usual = frequencies(actions, number)

    def fitted(seen: NDArray) -> NDArray[np.float64]:
        found = np.zeros((len(seen), number))
        found[:, classifier.classes_] = classifier.predict_proba(seen)
        return (len(actions) * found + usual) / (len(actions) + 1)

    return fitted
