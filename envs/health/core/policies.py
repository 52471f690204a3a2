"""Policies that treatments compare with: constant, random, and by the time since admission."""

from collections.abc import Callable

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from common.policy import Policy
from envs.health.core.simulation import Simulation


def read(names: tuple[str, ...], observations: NDArray) -> dict[str, NDArray]:
    """The newest readings by name, each (N,), of observations (N, history * O)."""
    newest = observations[:, -len(names) :]
    return {name: newest[:, column].astype(np.float64) for column, name in enumerate(names)}


def one_hot(actions: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Actions (N,) -> probabilities (N, count) that are all 0 or 1."""
    return np.eye(count)[actions]


def always(action: int) -> Callable[[Simulation], Policy]:
    """The policy that takes one of the discrete actions whatever it sees."""

    def made(simulation: Simulation) -> Policy:
        row = one_hot(np.array([action]), int(simulation.action_space.n))  # pyright: ignore
        return lambda observations, first: np.repeat(row, len(observations), 0)

    return made


def random_policy(simulation: Simulation) -> Policy:
    """The policy that takes each action, or each dose, as likely as any other."""
    space = simulation.action_space
    if isinstance(space, Discrete):
        return lambda observations, first: np.full(
            (len(observations), int(space.n)), 1 / int(space.n)
        )
    random = np.random.default_rng(0)
    return lambda observations, first: random.uniform(
        space.low, space.high, (len(observations), *space.shape)
    )


def by_time(
    choose: Callable[[NDArray[np.int64], Simulation], NDArray[np.int64]],
) -> Callable[[Simulation], Policy]:
    """The policy that looks at nothing but the clock: `choose` gives the actions (N,) after so many
    steps (N,) since admission."""

    def made(simulation: Simulation) -> Policy:
        steps = np.zeros(0, np.int64)

        def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
            nonlocal steps
            # A new policy, or another number of patients, begins at step 0.
            steps = np.where(first, 0, steps + 1 if len(steps) == len(first) else 0)
            return one_hot(choose(steps, simulation), int(simulation.action_space.n))  # pyright: ignore

        return policy

    return made
