"""A small process with known answers: values by dynamic programming, and episodes of any policy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.logged.episodes import Episodes, drawn


@dataclass(frozen=True)
class TinyMDP:
    """S states and A actions for at most `horizon` steps; a step may end the episode."""

    following: NDArray[np.float64]
    """(S, A, S + 1), of which the last is the end."""
    rewards: NDArray[np.float64]
    """(S, A), to which noise of standard deviation 0.5 is added."""
    horizon: int

    @classmethod
    def random(
        cls, seed: int = 0, states: int = 5, actions: int = 3, horizon: int = 4
    ) -> "TinyMDP":
        random = np.random.default_rng(seed)
        following = random.dirichlet(np.full(states + 1, 0.5), (states, actions))
        return cls(following, random.normal(1.0, 1.0, (states, actions)), horizon)

    @property
    def size(self) -> tuple[int, int]:
        return self.rewards.shape

    def policy(self, seed: int, softness: float = 1.0) -> NDArray[np.float64]:
        """(S, A)."""
        states, actions = self.size
        return np.random.default_rng(seed).dirichlet(np.full(actions, softness), states)

    def q(self, policy: NDArray[np.float64], discount: float) -> NDArray[np.float64]:
        """(horizon, S, A), by dynamic programming."""
        q, values = np.zeros((self.horizon, *self.size)), np.zeros(self.size[0])
        for step in reversed(range(self.horizon)):
            q[step] = self.rewards + discount * self.following[:, :, :-1] @ values
            values = (policy * q[step]).sum(1)
        return q

    def value(self, policy: NDArray[np.float64], discount: float) -> float:
        """Of an episode, which begins in any state."""
        return float((policy * self.q(policy, discount)[0]).sum(1).mean())

    def play(self, policy: NDArray[np.float64], episodes: int, seed: int) -> Episodes:
        random = np.random.default_rng(seed)
        states, columns = random.integers(self.size[0], size=episodes), []
        alive, terminated, last = (
            np.ones(episodes, np.bool_),
            np.zeros(episodes, np.bool_),
            np.zeros(episodes, int),
        )
        for _ in range(self.horizon):
            probabilities = policy[states]
            actions = drawn(probabilities, random)
            rewards = self.rewards[states, actions] + 0.5 * random.standard_normal(episodes)
            after = drawn(self.following[states, actions], random)
            ended = after == self.size[0]
            seen, last = states * alive, np.where(alive, np.where(ended, states, after), last)
            columns.append(
                (
                    seen,
                    actions * alive,
                    rewards * alive,
                    probabilities * alive[:, None],
                    alive.copy(),
                )
            )
            terminated |= alive & ended
            states, alive = np.where(ended, states, after), alive & ~ended
        seen, actions, rewards, probabilities, lived = (
            np.stack(column) for column in zip(*columns, strict=True)
        )
        return Episodes(
            seen[..., None].astype(np.float32),
            actions,
            rewards,
            np.zeros_like(rewards),
            probabilities,
            lived,
            terminated,
            last[:, None].astype(np.float32),
            {},
        )


def target_of(policy: NDArray[np.float64], episodes: Episodes) -> NDArray[np.float64]:
    """What a policy (S, A) would do at each step and after the last (T + 1, E, A)."""
    states = np.where(
        episodes.alive, episodes.observations[..., 0], episodes.last_observations[:, 0]
    )
    return policy[np.concatenate([states, episodes.last_observations[None, :, 0]]).astype(int)]
