"""Whole episodes side by side, as a policy plays them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.environments import (
    all_environments,
    built_vector,
    closing_quietly,
    faults,
    numbers_of,
    opened,
    says,
)
from agents.interfaces import Environment, EnvironmentFailure
from agents.logged.values import require_memory
from agents.monitoring.progress import Advance, unseen
from common.info import EPISODE_METRICS
from common.policy import Policy

COLUMNS = ("observations", "actions", "rewards", "costs", "probabilities", "alive")
"""What there is of each step."""
MAX_AT_ONCE = 1_000


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
    """(T, E, A), of each action by the policy that decided; (T, E, 0) where they are not known, or
    not discrete."""
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
        """The same without what was seen and how likely actions were, which take nearly all of the
        memory."""
        nothing = (*self.alive.shape, 0)
        return replace(
            self,
            observations=np.zeros(nothing, self.observations.dtype),
            probabilities=np.zeros(nothing),
        )

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
    environment: Environment,
    make: Callable[[Any], Policy],
    episodes: int,
    seed: int,
    advance: Advance = unseen,
) -> Episodes:
    """So many whole episodes with the policy that `make` makes for the vector environment.

    Where actions are discrete they are drawn with the policy's probabilities. An episode that is
    cut because its environment failed is left out, and another one is played. Raises
    EnvironmentFailure where more are cut than asked for, or all environments fail, and ValueError
    where the episodes would not fit the memory, as soon as that is known."""
    parts: list[Episodes] = []
    random = np.random.default_rng(seed)
    if episodes > MAX_AT_ONCE:
        require_episode_memory(environment, episodes)
    left = episodes
    number_cut = 0
    while left:
        with closing_quietly(built_vector(environment, min(MAX_AT_ONCE, left))) as env:
            played, cut = _played(env, make(env), random, advance)
        number_cut += len(cut)
        if number_cut > episodes:
            last = list(cut.values())[-1]
            raise EnvironmentFailure(
                f"More than {episodes} episodes were cut; the last one: {last}"
            )
        if len(cut) == len(played):
            continue
        whole = played.chosen(np.delete(np.arange(len(played)), list(cut))) if cut else played
        parts.append(whole)
        left -= len(whole)
        needed = 2 * whole.nbytes * left // len(whole)  # once as parts, and once joined
        require_memory(needed, f"{left:,} more episodes like these")
    return parts[0] if len(parts) == 1 else joined(parts)


def joined(parts: Sequence[Episodes]) -> Episodes:
    """All episodes of the parts, in their order."""
    longest = max(len(part.rewards) for part in parts)
    return replace(
        parts[0],
        **{
            name: np.concatenate([_padded(getattr(part, name), longest) for part in parts], 1)
            for name in COLUMNS
        },
        terminated=np.concatenate([part.terminated for part in parts]),
        last_observations=np.concatenate([part.last_observations for part in parts]),
        metrics={
            name: joined_metric(parts, name)
            for name in dict.fromkeys(chain(*(part.metrics for part in parts)))
        },
    )


def joined_metric(parts: Sequence[Episodes], name: str) -> NDArray[np.float64]:
    """A metric of all episodes; nan for those of a part in which no episode has it."""
    return np.concatenate([part.metrics.get(name, np.full(len(part), np.nan)) for part in parts])


def require_episode_memory(environment: Environment, episodes: int) -> None:
    """Raises ValueError where so many episodes, of a step each at least, would not fit the
    memory."""
    from agents.networks.packing import Packing  # torch, which a command's help does without

    with opened(environment) as env:
        packing = Packing(env.observation_space)
    of_an_observation = math.prod(packing.shape) * packing.dtype.itemsize
    require_memory(episodes * of_an_observation, f"{episodes:,} episodes")


def _played(
    env: Any, policy: Policy, random: np.random.Generator, advance: Advance
) -> tuple[Episodes, dict[int, str]]:
    """One episode of each environment; and why it was cut, of each whose environment failed.

    What is kept of a step is copied before the next one: environments and policies may write to
    their arrays again."""
    from agents.networks.packing import Packing  # torch, which a command's help does without

    discrete = isinstance(env.single_action_space, Discrete)
    packing = Packing(env.single_observation_space)
    number = env.num_envs
    with all_environments():
        observations, _ = env.reset(seed=int(random.integers(2**31)))
    first = np.ones(number, np.bool_)
    over = np.zeros(number, np.bool_)
    terminated = np.zeros(number, np.bool_)
    last = np.zeros((number, *packing.shape), packing.dtype)
    metrics: dict[str, NDArray[np.float64]] = {}
    cut: dict[int, str] = {}
    rows: list[tuple[NDArray, ...]] = []
    while not over.all():
        alive = ~over
        seen = packing.pack(observations)
        decided = policy(seen, first)
        probabilities = decided if discrete else np.zeros((number, 0))
        actions = drawn(decided, random) if discrete else decided
        before = [where(alive, column) for column in (seen, actions, probabilities)]
        with all_environments():
            observations, rewards, ended, truncated, info = env.step(np.array(actions))
        final = info.get("final_info", {})
        costs = numbers_of(final, "cost", numbers_of(info, "cost", np.zeros(number)))
        observed, acted, likely = before
        rows.append((observed, acted, where(alive, rewards), where(alive, costs), likely, alive))
        first = ended | truncated
        now = first & alive
        failed = {n: reason for n, reason in faults(final).items() if now[n]}
        cut |= failed
        if now.any():
            advance(now.sum() - len(failed))
            terminated |= now & ended
            last[now] = np.stack(
                [packing.pack_one(info["final_obs"][n]) for n in np.flatnonzero(now)]
            )
            measured = final.get(EPISODE_METRICS, {})
            for name in (name for name in measured if not name.startswith("_")):
                known = now & says(measured, name, number)
                metrics.setdefault(name, np.full(number, np.nan))[known] = np.asarray(
                    measured[name]
                )[known]
        over = over | first
    columns: dict[str, Any] = dict(
        zip(COLUMNS, map(np.stack, zip(*rows, strict=True)), strict=True)
    )
    return Episodes(**columns, terminated=terminated, last_observations=last, metrics=metrics), cut


def where(alive: NDArray[np.bool_], column: NDArray) -> NDArray:
    """A copy of a column (N, ...) with zeros in the rows that are not alive (N,)."""
    copy = np.array(column)
    copy[~alive] = 0
    return copy


def drawn(probabilities: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """An action of each row (N, A) -> (N,)."""
    edges = probabilities.cumsum(1)
    # Times the sum, which rounding may have moved away from 1.
    return (random.random(len(edges))[:, None] * edges[:, -1:] >= edges).sum(1)


def _padded(column: NDArray, steps: int) -> NDArray:
    return np.pad(column, [(0, steps - len(column)), *[(0, 0)] * (column.ndim - 1)])
