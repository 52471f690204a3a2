"""Whole episodes side by side, as a policy plays them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.evaluation.values import require_memory
from agents.interfaces import EPISODE_METRICS, Environment, Policy
from agents.progress import Advance, unseen

COLUMNS = ("observations", "actions", "rewards", "costs", "probabilities", "alive")
"""What there is of each step."""
MOST_AT_ONCE = 1_000


@dataclass(frozen=True)
class Episodes:
    """E episodes of at most T steps; the rows after an episode's end are zeros."""

    observations: NDArray
    """(T, E, ...), what was seen before each step."""
    actions: NDArray
    """(T, E) int64, or doses (T, E, D)."""
    rewards: NDArray[np.float64]
    """(T, E)."""
    costs: NDArray[np.float64]
    """(T, E), of what should not have been done; zeros where the environment counts none."""
    probabilities: NDArray[np.float64]
    """(T, E, A), of each action by the policy that decided; (T, E, 0) where they are not known, or not discrete."""
    alive: NDArray[np.bool_]
    """(T, E), steps that were taken."""
    terminated: NDArray[np.bool_]
    """(E,), episodes that ended; time cut the others off."""
    last_observations: NDArray
    """(E, ...), what was seen after each last step."""
    metrics: dict[str, NDArray[np.float64]]
    """Of each whole episode (E,), by name; nan where it means nothing."""

    def __len__(self) -> int:
        return self.rewards.shape[1]

    @property
    def nbytes(self) -> int:
        """What the steps take of the memory."""
        return sum(getattr(self, name).nbytes for name in COLUMNS)

    @property
    def first(self) -> NDArray[np.bool_]:
        """(T, E), the first step of each."""
        first = np.zeros_like(self.alive)
        first[0] = True
        return first

    def returns(self, discount: float = 1.0) -> NDArray[np.float64]:
        """(E,)."""
        return (discount ** np.arange(len(self.rewards)) @ self.rewards).astype(np.float64)

    def outcomes(self) -> "Episodes":
        """The same without what was seen and how likely actions were, which take nearly all of the memory."""
        nothing = (*self.alive.shape, 0)
        return replace(self, observations=np.zeros(nothing, self.observations.dtype), probabilities=np.zeros(nothing))

    def chosen(self, rows: NDArray) -> "Episodes":
        """Some of the episodes, in this order, which may have one twice."""
        return replace(
            self,
            **{name: getattr(self, name)[:, rows] for name in COLUMNS},
            terminated=self.terminated[rows],
            last_observations=self.last_observations[rows],
            metrics={name: values[rows] for name, values in self.metrics.items()},
        )


def play(
    environment: Environment, make: Callable[[Any], Policy], episodes: int, seed: int, advance: Advance = unseen
) -> Episodes:
    """So many whole episodes with the policy that `make` makes for the vector environment.

    Where actions are discrete they are drawn with the policy's probabilities. Raises ValueError where the episodes
    would not fit the memory, as soon as that is known."""
    parts: list[Episodes] = []
    random = np.random.default_rng(seed)
    if episodes > MOST_AT_ONCE:
        check_memory(environment, episodes)
    for start in range(0, episodes, MOST_AT_ONCE):
        env = environment.build_vector(min(MOST_AT_ONCE, episodes - start))
        part = _played(env, make(env), random, advance)
        parts.append(part)
        env.close()
        left = episodes - start - len(part)
        require_memory(2 * part.nbytes * left // len(part), f"{left:,} more episodes like these")  # and once joined
    if len(parts) == 1:
        return parts[0]
    longest = max(len(part.rewards) for part in parts)
    return replace(
        parts[0],
        **{name: np.concatenate([_padded(getattr(part, name), longest) for part in parts], 1) for name in COLUMNS},
        terminated=np.concatenate([part.terminated for part in parts]),
        last_observations=np.concatenate([part.last_observations for part in parts]),
        metrics={name: np.concatenate([part.metrics[name] for part in parts]) for name in parts[0].metrics},
    )


def check_memory(environment: Environment, episodes: int) -> None:
    """Raises ValueError where so many episodes, of a step each at least, would not fit the memory."""
    env = environment.build()
    space = env.observation_space
    env.close()
    of_an_observation = math.prod(space.shape or ()) * np.dtype(space.dtype or np.float32).itemsize
    require_memory(episodes * of_an_observation, f"{episodes:,} episodes")


def _played(env: Any, policy: Policy, random: np.random.Generator, advance: Advance) -> Episodes:
    """One episode of each environment."""
    discrete = isinstance(env.single_action_space, Discrete)
    observations, _ = env.reset(seed=int(random.integers(2**31)))
    number = env.num_envs
    first, over = np.ones(number, np.bool_), np.zeros(number, np.bool_)
    terminated, last = np.zeros(number, np.bool_), np.zeros_like(observations)
    metrics: dict[str, NDArray[np.float64]] = {}
    rows: list[tuple[NDArray, ...]] = []
    while not over.all():
        decided = policy(observations, first)
        probabilities = decided if discrete else np.zeros((number, 0))
        actions = drawn(decided, random) if discrete else decided
        following, rewards, ended, cut, info = env.step(actions)
        alive = ~over
        costs = info.get("cost", np.zeros(number))
        row = (observations, actions, rewards, costs, probabilities)
        rows.append((*(np.where(alive.reshape(-1, *[1] * (c.ndim - 1)), c, 0).astype(c.dtype) for c in row), alive))
        first = ended | cut
        now = first & alive
        if now.any():
            advance(now.sum())
            terminated |= now & ended
            last[now] = np.stack([info["final_obs"][n] for n in np.flatnonzero(now)])
            measured = info.get("final_info", {}).get(EPISODE_METRICS, {})
            for name in (name for name in measured if name[0] != "_"):
                known = now & measured[f"_{name}"]
                metrics.setdefault(name, np.full(number, np.nan))[known] = measured[name][known]
        over, observations = over | first, following
    columns: dict[str, Any] = dict(zip(COLUMNS, map(np.stack, zip(*rows, strict=True)), strict=True))
    return Episodes(**columns, terminated=terminated, last_observations=last, metrics=metrics)


def drawn(probabilities: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """An action of each row (N, A) -> (N,)."""
    edges = probabilities.cumsum(1)
    return (random.random(len(edges))[:, None] * edges[:, -1:] >= edges).sum(1)


def _padded(column: NDArray, steps: int) -> NDArray:
    return np.pad(column, [(0, steps - len(column)), *[(0, 0)] * (column.ndim - 1)])
