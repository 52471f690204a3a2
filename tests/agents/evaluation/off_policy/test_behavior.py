"""Behavior policies that are fitted to logged actions, and how their probabilities are judged."""

import numpy as np
import pytest

from agents.evaluation.off_policy.behavior import (
    FITS,
    by_counts,
    calibration,
    fitted_probabilities,
    frequencies,
    held_out_probabilities,
    suited,
)
from agents.evaluation.off_policy.small_network import flat
from tests.agents.evaluation.off_policy.tiny_mdp import TinyMDP


def test_counts_by_hand() -> None:
    """State 0: action 0 three times, action 1 once; state 1: action 1 once. Frequencies with one
    more of each: 4/7 and 3/7; one more step like them."""
    seen = np.array([[0.0], [0.0], [0.0], [0.0], [1.0]])
    fitted = by_counts(seen, np.array([0, 0, 0, 1, 1]), 2)
    np.testing.assert_allclose(frequencies(np.array([0, 0, 0, 1, 1]), 2), [4 / 7, 3 / 7])
    np.testing.assert_allclose(fitted(np.array([[0.0]])), [[(3 + 4 / 7) / 5, (1 + 3 / 7) / 5]])
    np.testing.assert_allclose(fitted(np.array([[1.0]])), [[(4 / 7) / 2, (1 + 3 / 7) / 2]])
    np.testing.assert_allclose(fitted(np.array([[2.0]])), [[4 / 7, 3 / 7]])


def test_calibration_by_hand() -> None:
    """Four steps, two actions; the first is said to have 0.25 twice and 0.85 twice, and is taken
    once and twice."""
    first = np.array([0.25, 0.25, 0.85, 0.85])
    found = calibration(np.stack([first, 1 - first], 1), np.array([0, 1, 0, 0]))
    np.testing.assert_allclose(found.predicted, [0.15, 0.25, 0.75, 0.85])
    np.testing.assert_allclose(found.observed, [0, 0.5, 0.5, 1])
    assert found.number == [2, 2, 2, 2]
    assert found.expected_error == pytest.approx((0.15 + 0.25 + 0.25 + 0.15) / 4)
    assert found.brier == pytest.approx(2 * (0.75**2 + 0.25**2 + 2 * 0.15**2) / 4)
    assert found.brier_of_frequencies == pytest.approx(1 - 0.75**2 - 0.25**2)


@pytest.mark.parametrize("name", FITS)
def test_fits_find_a_policy_of_states(name: str) -> None:
    """Two actions by a logistic rule of one reading; the error is that of 400 episodes, not of a
    constant policy."""
    mdp = TinyMDP.random(3, states=6, actions=2)
    rule = 1 / (1 + np.exp(np.arange(6) - 2.5))
    policy = np.stack([rule, 1 - rule], 1)
    played = mdp.play(policy, 400, 1)
    found = held_out_probabilities(played, FITS[name], 2)
    truth = played.probabilities[played.alive]
    np.testing.assert_allclose(found[played.alive].sum(1), 1)
    assert (found[played.alive] > 0).all()
    error = np.abs(found[played.alive] - truth).mean()
    assert error < 0.05 < 0.3 * np.abs(truth - truth.mean(0)).mean()
    judged = calibration(found[played.alive], played.actions[played.alive])
    assert judged.expected_error < 0.05
    assert judged.brier < 0.9 * judged.brier_of_frequencies


@pytest.mark.parametrize("name", FITS)
def test_fits_see_seconds_of_timestamps(name: str) -> None:
    """Who acts in the second half of 40 seconds alone is found out, though float32 holds these as
    one number."""
    clock = np.tile(1.7e9 + np.arange(40.0), 25)[:, None]
    late = np.tile(np.arange(40) >= 20, 25).astype(np.int64)
    probabilities = FITS[name](flat(clock, 1), late, 2)(flat(clock, 1))
    assert probabilities[np.arange(len(late)), late].mean() > 0.9


def test_probabilities_that_are_true_are_calibrated() -> None:
    mdp = TinyMDP.random(3)
    played = mdp.play(mdp.policy(4), 5_000, 1)
    of_truth = calibration(played.probabilities[played.alive], played.actions[played.alive])
    overconfident = played.probabilities**3
    overconfident /= overconfident.sum(2, keepdims=True) + 1e-12
    of_other = calibration(overconfident[played.alive], played.actions[played.alive])
    assert of_truth.expected_error < 0.01 < 0.04 < of_other.expected_error


def test_an_episode_is_not_judged_by_itself() -> None:
    """One action in ten thousand of its kind, in a state of its own: a fit that knew it would be
    sure of it."""
    mdp = TinyMDP.random(3)
    played = mdp.play(mdp.policy(4), 50, 1)
    played.observations[0, 7] = 99
    found = held_out_probabilities(played, by_counts, 3)
    others = np.arange(50) % 5 != 7 % 5
    usual = frequencies(played.actions[played.alive & others], 3)
    np.testing.assert_allclose(found[0, 7], usual)
    own = fitted_probabilities(played, by_counts, 3)[0, 7]
    everyone = frequencies(played.actions[played.alive], 3)
    np.testing.assert_allclose(own, (np.eye(3)[played.actions[0, 7]] + everyone) / 2)


def test_few_episodes_are_told() -> None:
    mdp = TinyMDP.random(3)
    with pytest.raises(ValueError, match="at least 5 episodes, not to 3"):
        held_out_probabilities(mdp.play(mdp.policy(4), 3, 1), by_counts, 3)


def test_what_suits_the_observations() -> None:
    mdp = TinyMDP.random(3)
    played = mdp.play(mdp.policy(4), 300, 1)
    assert suited(played) == "counts"
    played.observations[...] = np.random.default_rng(0).normal(size=played.observations.shape)
    assert suited(played) == "network"
