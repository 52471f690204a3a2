"""A whole evaluation of a policy from a log whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict

from agents.evaluation.off_policy.estimate import evaluate_off_policy, probabilities_of, softened
from agents.evaluation.off_policy.estimators import ESTIMATORS
from tests.agents.evaluation.off_policy.tiny_mdp import TinyMDP, target_of

MDP = TinyMDP.random(21)
BEHAVIOR, TARGET = MDP.policy(22, 3.0), MDP.policy(23, 3.0)


def test_every_estimator_finds_what_a_policy_is_worth() -> None:
    played = MDP.play(BEHAVIOR, 3_000, 1)
    told = evaluate_off_policy(played, target_of(TARGET, played), discount=0.9, resamples=200)
    truth = MDP.value(TARGET, 0.9)
    assert set(told.estimates) == set(ESTIMATORS)
    assert abs(told.logged.value - truth) > 0.2
    for name, estimate in told.estimates.items():
        assert estimate.low <= estimate.value <= estimate.high, name
        assert estimate.low - 0.1 < truth < estimate.high + 0.1, name
        assert abs(estimate.value - truth) < 0.15, name
    width = {name: estimate.high - estimate.low for name, estimate in told.estimates.items()}
    assert width["weighted DR"] < width["WIS"]
    assert told.refusal == ""
    assert told.refitted
    assert sum(told.weights.counts) + told.weights.zeros == 3_000


def test_of_the_behavior_policy_itself_the_log_is_the_answer() -> None:
    played = MDP.play(BEHAVIOR, 300, 2)
    told = evaluate_off_policy(played, target_of(BEHAVIOR, played), resamples=100)
    assert told.effective_sample_size == pytest.approx(300)
    for name in ("IS", "WIS", "PDIS", "weighted PDIS"):
        assert told.estimates[name].value == pytest.approx(played.returns().mean()), name
        assert told.estimates[name].low == pytest.approx(told.logged.low), name


def test_a_log_without_probabilities_is_fitted() -> None:
    played = MDP.play(BEHAVIOR, 1_000, 3)
    bare = replace(played, probabilities=np.zeros((*played.alive.shape, 0)))
    target = target_of(TARGET, played)
    with pytest.raises(ValueError, match="must be fitted, by counts, logistic"):
        evaluate_off_policy(bare, target)
    told = evaluate_off_policy(bare, target, behavior="counts", discount=0.9, resamples=50)
    assert told.estimates["weighted DR"].value == pytest.approx(MDP.value(TARGET, 0.9), abs=0.2)
    assert told.calibration.expected_error < 0.03


def test_a_policy_that_was_hardly_ever_followed_is_refused() -> None:
    played = MDP.play(np.array([[0.98, 0.01, 0.01]] * 5), 400, 4)
    never = np.array([[0.0, 0.5, 0.5]] * 5)
    told = evaluate_off_policy(played, target_of(never, played), resamples=20)
    assert told.effective_sample_size < 50
    assert "a headline needs 50" in told.refusal


def test_policies_are_asked_step_by_step() -> None:
    """One that counts its steps: what it says of step t is t's, also after an episode's end."""
    played = MDP.play(BEHAVIOR, 6, 5)
    clock = np.zeros(6)

    def counting(observations: np.ndarray, first: np.ndarray) -> np.ndarray:
        nonlocal clock
        clock = np.where(first, 0, clock + 1)
        return np.eye(5)[clock.astype(int)]

    found = probabilities_of(counting, played)
    np.testing.assert_array_equal(found.argmax(2), np.repeat(np.arange(5)[:, None], 6, 1))


def test_a_policy_of_doses_is_told() -> None:
    played = MDP.play(BEHAVIOR, 6, 5)
    with pytest.raises(ValueError, match="this one gives doses"):
        probabilities_of(lambda seen, first: np.full((len(seen), 2), 0.3), played)


def test_other_actions_are_told() -> None:
    played = MDP.play(BEHAVIOR, 60, 5)
    with pytest.raises(ValueError, match="The policy has 2 actions, and the log has action 2"):
        evaluate_off_policy(played, target_of(TARGET[:, :2], played))


def test_softened_policies_take_anything_sometimes() -> None:
    seen = Box(0.0, 1.0, (1,))
    soft = softened(lambda seen, first: np.array([[1.0, 0.0, 0.0, 0.0]]), 0.2, seen)
    np.testing.assert_allclose(
        soft(np.zeros((1, 1)), np.ones(1, np.bool_)), [[0.85, 0.05, 0.05, 0.05]]
    )


def test_softened_policies_take_nothing_that_is_masked() -> None:
    space = Dict({"action_mask": Box(0.0, 1.0, (4,)), "observation": Box(0.0, 1.0, (1,))})
    soft = softened(lambda seen, first: np.array([[1.0, 0.0, 0.0, 0.0]]), 0.2, space)
    packed = np.array([[1.0, 0.0, 1.0, 0.0, 0.5]], np.float32)
    np.testing.assert_allclose(soft(packed, np.ones(1, np.bool_)), [[0.9, 0.0, 0.1, 0.0]])
