"""Dynamic programming against a process small enough to solve by hand, and draws against their
probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from envs.health.core.tabular import (
    TabularModel,
    action_values,
    expected_return,
    optimal_policy,
    state_values,
    transition_sampler,
    visits,
)

WAIT, TREAT = np.array([1.0, 0.0]), np.array([0.0, 1.0])
ILL = TabularModel(
    # Ill, then well or dead. Waiting stays ill by a half and is well by a quarter; treatment is
    # well by 0.4.
    transitions=csr_array(np.array([[0.5, 0.25, 0.25], [0.0, 0.4, 0.6], *[[0.0, 0.0, 0.0]] * 4])),
    rewards=np.array([[0.25, 0.4], [0.0, 0.0], [0.0, 0.0]]),
    start=np.array([1.0, 0.0, 0.0]),
)


def always(row: np.ndarray) -> np.ndarray:
    return np.tile(row, (3, 1))


def random_model(seed: int, states: int = 6, actions: int = 3) -> TabularModel:
    """From every state one step in ten ends the episode."""
    random = np.random.default_rng(seed)
    transitions = random.dirichlet(np.ones(states), states * actions) * (
        random.random((1, states)) < 0.8
    )
    transitions *= 0.9 / np.maximum(transitions.sum(1, keepdims=True), 1e-12)
    return TabularModel(
        csr_array(transitions),
        random.standard_normal((states, actions)),
        np.full(states, 1 / states),
    )


def test_values_are_those_worked_out_by_hand() -> None:
    """Waiting is worth v = 1/4 + v / 2; half and half v = 0.325 + v / 4."""
    assert expected_return(ILL, always(WAIT)) == pytest.approx(1 / 2)
    assert expected_return(ILL, always(TREAT)) == pytest.approx(0.4)
    assert expected_return(ILL, always((WAIT + TREAT) / 2)) == pytest.approx(0.325 / 0.75)
    assert expected_return(ILL, always(WAIT), discount=0.5) == pytest.approx(1 / 3)
    np.testing.assert_allclose(action_values(ILL, always(TREAT))[0], [0.25 + 0.5 * 0.4, 0.4])
    np.testing.assert_allclose(visits(ILL, always(WAIT)), [2.0, 0.5, 0.5])


def test_the_best_policy_waits_unless_waiting_counts_for_little_or_is_not_allowed() -> None:
    np.testing.assert_array_equal(optimal_policy(ILL)[0], WAIT)
    np.testing.assert_array_equal(optimal_policy(ILL, discount=0.5)[0], TREAT)
    np.testing.assert_array_equal(
        optimal_policy(ILL, allowed=np.array([[False, True]] * 3))[0], TREAT
    )
    with pytest.raises(ValueError, match="needs an allowed action"):
        optimal_policy(ILL, allowed=np.zeros((3, 2), np.bool_))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_values_satisfy_bellmans_equations(seed: int, discount: float) -> None:
    model = random_model(seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(3), 6)
    q = action_values(model, policy, discount)
    np.testing.assert_allclose(
        (policy * q).sum(1), state_values(model, policy, discount), atol=1e-9
    )
    best = optimal_policy(model, discount)
    np.testing.assert_allclose(
        action_values(model, best, discount).max(1), state_values(model, best, discount), atol=1e-9
    )
    assert (
        state_values(model, best, discount) >= state_values(model, policy, discount) - 1e-9
    ).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_returns_are_rewards_by_how_often_states_are_visited(seed: int) -> None:
    model = random_model(seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(3), 6)
    often = visits(model, policy)
    assert often @ (policy * model.rewards).sum(1) == pytest.approx(expected_return(model, policy))


def test_transitions_are_drawn_as_often_as_is_probable() -> None:
    random, draws = np.random.default_rng(0), 200_000
    model = random_model(3)
    table = model.transitions.toarray()
    table /= table.sum(1, keepdims=True)
    draw = transition_sampler(TabularModel(csr_array(table), model.rewards, model.start))
    for state, action in ((0, 0), (2, 1), (5, 2)):
        found = draw(np.full(draws, state), np.full(draws, action), random)
        expected = table[state * 3 + action]
        deviation = np.sqrt(expected * (1 - expected) / draws)
        np.testing.assert_array_less(
            np.abs(np.bincount(found, minlength=6) / draws - expected), 5 * deviation + 1e-12
        )


class Extreme:
    """Draws only one number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self, size: int) -> np.ndarray:
        return np.full(size, self.number)


@pytest.mark.parametrize(("number", "next_state"), [(0.0, 0), (np.nextafter(1.0, 0.0), 2)])
def test_the_first_and_last_number_draw_what_is_possible(number: float, next_state: int) -> None:
    draw = transition_sampler(ILL)
    assert draw(np.array([0]), np.array([0]), Extreme(number))[0] == next_state  # pyright: ignore
