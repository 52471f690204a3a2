"""Intervals, effective sample sizes and refusals by hand-computed numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.off_policy.uncertainty import (
    bootstrap,
    effective_sample_size,
    interval,
    mean_weight,
    refusal,
    weight_histogram,
)


def test_effective_sample_size_by_hand() -> None:
    """(1 + 2 + 3)^2 / (1 + 4 + 9)."""
    assert effective_sample_size(np.log([1.0, 2.0, 3.0])) == pytest.approx(36 / 14)
    with np.errstate(divide="ignore"):
        assert effective_sample_size(np.log([5.0, 0.0, 0.0])) == pytest.approx(1)
        assert effective_sample_size(np.log(np.zeros(4))) == 0
    assert effective_sample_size(np.full(7, 5_000.0)) == pytest.approx(7)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=40))
def test_effective_sample_size_is_between_one_and_all(log_weights: list[float]) -> None:
    assert 1 - 1e-9 <= effective_sample_size(np.array(log_weights)) <= len(log_weights) + 1e-9


def test_the_bootstrap_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = bootstrap(lambda counts: counts @ values / 400, 400, resamples=4_000, seed=1)
    assert found.std() == pytest.approx(values.std() / 20, rel=0.05)
    low, high = interval(found)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.07)
    again = bootstrap(lambda counts: counts @ values / 400, 400, resamples=4_000, seed=1)
    np.testing.assert_array_equal(found, again)


def test_resamples_are_as_large_as_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.evaluation.off_policy.uncertainty.MAX_COUNTS_AT_ONCE", 25)
    assert (bootstrap(lambda counts: counts.sum(1), 10, resamples=7) == 10).all()
    assert len(bootstrap(lambda counts: counts[:, 0], 10, resamples=7)) == 7


def test_refusals() -> None:
    assert refusal(50, 1_000, 1.0) == ""
    assert "49.9 of 1,000 episodes; a headline needs 50" in refusal(49.9, 1_000, 1.0)
    assert "a headline needs 250" in refusal(200, 5_000, 1.0)
    assert refusal(250, 5_000, 1.29) == ""
    assert "mean is 0.38; a headline needs 0.7 to 1.3" in refusal(250, 5_000, 0.38)


def test_the_mean_weight_is_one_where_the_log_has_all_that_the_policy_would_do() -> None:
    random = np.random.default_rng(0)
    chosen = random.random(20_000) < 0.25  # what the policy does half of the time
    assert mean_weight(np.where(chosen, np.log(2), np.log(2 / 3))) == pytest.approx(1, abs=0.02)
    assert mean_weight(np.array([-np.inf, np.log(3)])) == pytest.approx(1.5)


def test_weights_of_zero_stand_apart() -> None:
    with np.errstate(divide="ignore"):
        found = weight_histogram(np.log([0.0, 0.01, 2.0, 2.0, 100.0]), bins=4)
    assert (found.zeros, found.counts) == (1, [1, 0, 2, 1])
    np.testing.assert_allclose(found.edges, [-2, -1, 0, 1, 2], atol=1e-12)
    assert weight_histogram(np.full(3, -np.inf)).zeros == 3
