"""Markov decision processes whose every probability is known: exact values, optimal policies, and
fast draws.

What an estimate from logged episodes is held against. Values are solved for, not iterated (Puterman
1994, chapter 6); policies are tables (S, A) of probabilities. A state from which no transition
leads on ends the episode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SMALLEST_GAIN = 1e-12
"""By less than this no action is better than another: what solving leaves of errors."""


@dataclass(frozen=True)
class TabularModel:
    """S states and A actions."""

    transitions: csr_array
    """(S * A, S): row s * A + a has the probabilities of the states that action a leads to from s;
    a row sums to 1, or is empty where the episode has ended."""
    rewards: NDArray[np.float64]
    """(S, A), expected of the step."""
    start: NDArray[np.float64]
    """(S,), how probable an episode begins there."""


def state_values(
    model: TabularModel, policy: NDArray[np.float64], discount: float = 1.0
) -> NDArray[np.float64]:
    """What follows from each state under the policy (S,). Undiscounted, the policy must end every
    episode."""
    rewards = (policy * model.rewards).sum(1)
    return np.linalg.solve(np.eye(len(rewards)) - discount * chain(model, policy), rewards)


def action_values(
    model: TabularModel, policy: NDArray[np.float64], discount: float = 1.0
) -> NDArray[np.float64]:
    """What follows from each action in each state and the policy after it (S, A)."""
    return backup(model, state_values(model, policy, discount), discount)


def expected_return(
    model: TabularModel, policy: NDArray[np.float64], discount: float = 1.0
) -> float:
    """Of an episode."""
    return float(model.start @ state_values(model, policy, discount))


def visits(model: TabularModel, policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often an episode is expected to come to each state (S,); their sum, but for those at
    which it ends, is its expected length in steps."""
    return np.linalg.solve(np.eye(len(policy)) - chain(model, policy).T, model.start).astype(
        np.float64
    )


def optimal_policy(
    model: TabularModel, discount: float = 1.0, allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """The best of all policies, or of those that take allowed actions (S, A), as a table of zeros
    and ones (S, A): policy iteration (Howard 1960)."""
    number, actions = model.rewards.shape
    if allowed is None:
        allowed = np.ones((number, actions), np.bool_)
    elif not allowed.any(1).all():
        raise ValueError("Every state needs an allowed action.")
    states = np.arange(number)
    best = allowed.argmax(1)
    while True:
        policy = np.eye(actions)[best]
        values = np.where(allowed, action_values(model, policy, discount), -np.inf)
        better = values.max(1) > values[states, best] + SMALLEST_GAIN
        if not better.any():
            return policy
        best = np.where(better, values.argmax(1), best)


def chain(model: TabularModel, policy: NDArray[np.float64]) -> NDArray[np.float64]:
    """From each state to each other under the policy (S, S)."""
    from scipy.sparse import (
        csr_array,
    )  # here, because it takes a seventh of a second and settings do without

    number, actions = policy.shape
    weights = csr_array(
        (policy.ravel(), np.arange(number * actions), np.arange(0, number * actions + 1, actions)),
        shape=(number, number * actions),
    )
    return csr_array(weights @ model.transitions).toarray()


def backup(
    model: TabularModel, values: NDArray[np.float64], discount: float = 1.0
) -> NDArray[np.float64]:
    """Rewards, and the values (S,) of what comes next: (S, A)."""
    return model.rewards + discount * (model.transitions @ values).reshape(model.rewards.shape)


def transition_sampler(
    model: TabularModel,
) -> Callable[[NDArray[np.int64], NDArray[np.int64], np.random.Generator], NDArray[np.int64]]:
    """A function that draws the next states (N,) for states and actions (N,), none of which has
    ended.

    It keeps one number for each transition that is possible, and finds all N by one binary search:
    the cumulative probabilities of row k lie in (k, k + 1]."""
    table = model.transitions
    actions = model.rewards.shape[1]
    starts = np.asarray(table.indptr)
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    total = np.concatenate([[0.0], np.cumsum(table.data)])
    edges = rows + total[1:] - total[starts[rows]]
    last = starts[1:] - 1
    edges[last] = rows[last] + 1  # not what rounding left of it

    def drawn(
        states: NDArray[np.int64], chosen: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.int64]:
        row = states * actions + chosen
        found = np.searchsorted(edges, row + random.random(len(row)), side="right")
        return table.indices[np.minimum(found, last[row])].astype(np.int64)

    return drawn
