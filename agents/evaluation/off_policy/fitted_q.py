"""Fitted Q evaluation (Le et al. 2019): what each action is worth under a policy, learnt from what
others did.

The value is that of the episodes as they were logged: the sum of rewards within T steps, T being
the longest of them. Where time cut an episode off before, its value goes on from its last
observation."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agents.evaluation.off_policy.small_network import BATCH, SmallNetwork, flat
from agents.logged.episodes import Episodes

MIN_VISITS_OF_A_STATE = 4
"""On average, for observations to be taken for states."""
PASSES = 10
"""Over all steps, in all iterations together; more fit the noise of the rewards."""
MIN_GRADIENT_STEPS = 600
MIN_STEPS_AN_ITERATION = 25


class FittedQ(Protocol):
    """What actions are worth under one policy, by E episodes of others."""

    def values(
        self, counts: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fitted with each episode counting so often (E,), what the actions that were taken, and
        what the observations are worth in all of them, (T, E) and (T, E); zeros after the ends."""
        ...


def fitted_q(
    episodes: Episodes, target: NDArray[np.float64], discount: float
) -> "TabularQ | NetworkQ":
    """By states where the observations are a finite set, else by a network.

    `target` (T + 1, E, A) is what the policy would do, also after each last step."""
    states = states_of(episodes)
    return (
        NetworkQ(episodes, target, discount)
        if states is None
        else TabularQ(states, episodes, target, discount)
    )


class TabularQ:
    """A mean for each state and action, fitted once for each number of steps to go: dynamic
    programming in the process that was seen. `states` (T + 1, E) are numbered from 0.

    An action that was never tried in a state is worth what was done there; in a state in which
    nothing was, what the mean step is. A target policy that remembers is taken for its mean in each
    state."""

    def __init__(
        self,
        states: NDArray[np.int64],
        episodes: Episodes,
        target: NDArray[np.float64],
        discount: float,
    ) -> None:
        self.states = states
        self.discount = discount
        number = int(states.max()) + 1
        actions = target.shape[2]
        self.time, self.episode, self.ended = steps_of(episodes)
        self.before = states[self.time, self.episode]
        self.after = states[self.time + 1, self.episode]
        pairs = self.before * actions + episodes.actions[self.time, self.episode]
        tried, self.pair = np.unique(pairs, return_inverse=True)
        self.state, self.action = np.divmod(tried, actions)
        self.rewards = episodes.rewards[self.time, self.episode]
        known = np.concatenate([np.ones_like(episodes.alive[:1]), episodes.alive])
        self.decided = target[self.time, self.episode]
        seen = states[known]
        total = np.stack([np.bincount(seen, column, number) for column in target[known].T], 1)
        self.policy = total / np.bincount(seen, minlength=number)[:, None]

    def values(
        self, counts: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        q = np.zeros(self.states[:-1].shape)
        v = np.zeros_like(q)
        for step, (of_pairs, usual, _) in zip(
            reversed(range(len(q))), self._sweeps(counts), strict=True
        ):
            rows = slice(*np.searchsorted(self.time, (step, step + 1)))
            table = np.repeat(usual[:, None], self.policy.shape[1], 1)
            table[self.state, self.action] = of_pairs
            q[step, self.episode[rows]] = of_pairs[self.pair[rows]]
            # By what the target policy does at this very step, which may remember more than the
            # state.
            v[step, self.episode[rows]] = (table[self.before[rows]] * self.decided[rows]).sum(1)
        return q, v

    def value(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of the first observations, each row of counts (B, E) with a fit of its own:
        (B,)."""
        first = self.states[0]
        return np.array([list(self._sweeps(row))[-1][2][first] @ row / row.sum() for row in counts])

    def _sweeps(
        self, counts: NDArray[np.float64]
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
        """From the last step to the first, what is worth each pair of state and action that is in
        the log (P,), any other action in each state (S,), and the state under the policy (S,)."""
        rows = counts[self.episode] > 0
        number = len(self.policy)
        weights = counts[self.episode[rows]]
        pair = self.pair[rows]
        after = self.after[rows]
        rewards = self.rewards[rows]
        ended = self.ended[rows]
        tried = np.bincount(pair, weights, len(self.state))
        visits = np.bincount(self.before[rows], weights, number)
        often = self.policy[self.state, self.action]
        rarely = 1.0 - np.bincount(self.state, often, number)
        values = np.zeros(number)
        for _ in range(len(self.states) - 1):
            worth = weights * (rewards + self.discount * np.where(ended, 0.0, values[after]))
            total = np.bincount(pair, worth, len(self.state))
            in_state = np.bincount(self.state, total, number)
            usual = np.where(
                visits > 0, in_state / np.where(visits > 0, visits, 1), worth.sum() / weights.sum()
            )
            of_pairs = np.where(tried > 0, total / np.where(tried > 0, tried, 1), usual[self.state])
            values = np.asarray(
                np.bincount(self.state, often * of_pairs, number) + rarely * usual, np.float64
            )
            yield of_pairs, usual, values


class NetworkQ:
    """A small network of the observation and the share of T that has passed; each of T iterations
    begins with the weights of the one before."""

    def __init__(
        self, episodes: Episodes, target: NDArray[np.float64], discount: float, seed: int = 0
    ) -> None:
        seen = flat(followed(episodes), 2)
        self.horizon = len(episodes.rewards)
        self.seed = seed
        passed = np.broadcast_to(
            (np.arange(self.horizon + 1) / self.horizon)[:, None, None], (*seen.shape[:2], 1)
        )
        self.inputs = np.concatenate([seen, passed], 2, dtype=seen.dtype)
        self.time, self.episode, ended = steps_of(episodes)
        self.scale = float(episodes.returns(discount).std()) + 1e-8
        self.taken = episodes.actions[self.time, self.episode]
        self.rewards = (episodes.rewards[self.time, self.episode] / self.scale).astype(np.float32)
        self.decided = target[self.time, self.episode]
        self.policy = target[self.time + 1, self.episode].astype(np.float32)
        self.follows = (discount * ~(ended | (self.time + 1 == self.horizon))).astype(np.float32)

    def values(
        self, counts: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """An episode counts once or not at all."""
        rows = counts[self.episode] > 0
        time = self.time[rows]
        episode = self.episode[rows]
        before, after = (torch.from_numpy(self.inputs[t, episode]) for t in (time, time + 1))
        taken = torch.from_numpy(self.taken[rows])[:, None]
        rewards, policy, follows = (
            torch.from_numpy(c[rows]) for c in (self.rewards, self.policy, self.follows)
        )
        network = SmallNetwork(before.numpy(), self.policy.shape[1], self.seed)
        steps = max(MIN_GRADIENT_STEPS, PASSES * len(before) // BATCH) // self.horizon
        for _ in range(self.horizon):
            worth = rewards + follows * (policy * network.read(after)).sum(1)

            def loss(some: torch.Tensor, worth: torch.Tensor = worth) -> torch.Tensor:
                return (
                    (network(before[some]).gather(1, taken[some])[:, 0] - worth[some])
                    .square()
                    .mean()
                )

            network.descend(loss, len(before), max(MIN_STEPS_AN_ITERATION, steps))
        every = (
            self.scale
            * network.read(torch.from_numpy(self.inputs[self.time, self.episode])).double().numpy()
        )
        q = np.zeros((self.horizon, self.inputs.shape[1]))
        v = np.zeros_like(q)
        q[self.time, self.episode] = np.take_along_axis(every, self.taken[:, None], 1)[:, 0]
        v[self.time, self.episode] = (every * self.decided).sum(1)
        return q, v


def followed(episodes: Episodes) -> NDArray:
    """What was seen before each step, and after the last one for ever: (T + 1, E, ...)."""
    alive = episodes.alive.reshape(*episodes.alive.shape, *[1] * (episodes.observations.ndim - 2))
    seen = np.where(alive, episodes.observations, episodes.last_observations)
    return np.concatenate([seen, episodes.last_observations[None]])


def steps_of(episodes: Episodes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Of all logged steps the steps before them in their episodes, the episodes, and whether
    nothing follows: (N,)."""
    time, episode = np.nonzero(episodes.alive)
    lasts = episodes.alive & ~np.concatenate(
        [episodes.alive[1:], np.zeros_like(episodes.alive[:1])]
    )
    return time, episode, lasts[time, episode] & episodes.terminated[episode]


def states_of(episodes: Episodes) -> NDArray[np.int64] | None:
    """What was seen before each step, and after the last one for ever, as numbers of states (T + 1,
    E), from 0; None where these are not a finite set, that is where an observation hardly ever
    comes again."""
    alive = episodes.alive
    lasts = episodes.last_observations
    keys = np.concatenate([fingerprints(episodes.observations[alive]), fingerprints(lasts)])
    unique, numbers = np.unique(keys, return_inverse=True)
    if len(unique) > len(keys) // MIN_VISITS_OF_A_STATE:
        return None
    after = numbers[-len(lasts) :]
    states = np.repeat(after[None], len(alive) + 1, 0)
    states[:-1][alive] = numbers[: -len(lasts)]
    return states


def fingerprints(rows: NDArray) -> NDArray[np.int64]:
    """A number of 64 bits for each row (N, ...), equal where their bytes are, and by all odds
    nowhere else."""
    return np.array([hash(row.tobytes()) for row in np.ascontiguousarray(rows)], np.int64)
