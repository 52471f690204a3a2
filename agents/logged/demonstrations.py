"""What somebody else did, demonstrated or logged: read from a file, and drawn to learn from."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import gymnasium
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from agents.data import Demonstrated, Logged
from agents.logged.log_file import read_rows, require_spaces
from agents.logged.values import (
    require_actions,
    require_all,
    require_finite,
    require_observations,
    require_possible,
)

COLUMNS = ("observations", "actions", "rewards", "first")


@dataclass(frozen=True)
class Log:
    """E whole episodes one after the other, M steps in all."""

    observations: NDArray
    """(M, ...), packed."""
    actions: NDArray
    """(M, ...)."""
    rewards: NDArray[np.float32]
    """(M,)."""
    first: NDArray[np.bool_]
    """(M,), the first step of each episode."""
    terminated: NDArray[np.bool_]
    """(E,), episodes that ended; time cut the others off."""
    last_observations: NDArray
    """(E, ...), packed: what was seen after each last step."""

    @classmethod
    def read(
        cls, path: str, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ) -> "Log":
        """Of a .parquet file of logged episodes, or a file of demonstrations, whose episodes all
        ended in success.

        Raises ValueError, in one line, where they are missing, or of another environment."""
        if not path:
            raise ValueError(
                "What is to be learnt from is missing: --algo.demonstrations FILE, of "
                "scripts/make_demonstrations.py "
                "or scripts/log_episodes.py."
            )
        read = logged if Path(path).suffix == ".parquet" else demonstrated
        return read(path, observation_space, action_space)

    def returns(self, discount: float) -> NDArray[np.float32]:
        """Discounted returns from each step to its episode's end (M,)."""
        return returns_of(self.rewards, self.first, discount)

    def reward_unit(self, discount: float) -> float:
        """The deviation of these returns; 1 where they do not vary."""
        return float(self.returns(discount).std(dtype=np.float64)) or 1.0


@dataclass(frozen=True)
class Demonstrations:
    """Steps in windows, as who remembers learns from them."""

    columns: dict[str, NDArray]
    """`observations` (M, ...), packed; `actions` (M, ...); `rewards` and `returns` (M,) float32;
    `first` (M,) bool."""
    starts: NDArray[np.int64]
    """Of each window (W,), the row that it begins with; together the windows have every row."""
    length: int
    """Steps of a window (T)."""

    @classmethod
    def read(
        cls,
        path: str,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        discount: float,
        length: int,
        normalize_rewards: bool = False,
    ) -> "Demonstrations":
        """Raises ValueError, in one line, where they are missing, too few, or of another
        environment."""
        log = Log.read(path, observation_space, action_space)
        if len(log.rewards) < length:
            raise ValueError(
                f"{path} has {len(log.rewards)} steps, fewer than a window's {length}: "
                "--algo.rollout-length."
            )
        columns = {name: getattr(log, name) for name in COLUMNS} | {
            "returns": log.returns(discount)
        }
        if normalize_rewards:
            unit = np.float32(log.reward_unit(discount))
            columns |= {name: columns[name] / unit for name in ("rewards", "returns")}
        return cls(columns, windows(log.first, length), length)

    @property
    def observations(self) -> NDArray:
        """(M, ...), packed."""
        return self.columns["observations"]

    def draw(self, already: int, size: int, seed: int) -> Demonstrated:
        """The next windows, side by side as if they were `size` environments, after so many were
        drawn: each once, in an order of chance, then each again."""
        chosen = in_turn(len(self.starts), already, size, seed)
        rows = self.starts[chosen][None, :] + np.arange(self.length)[:, None]
        taken = {name: column[rows] for name, column in self.columns.items()}
        taken["first"][0] = True  # nothing is remembered from before a window
        # A window's last row is an end, too, because `first` is true in its row 0.
        ends = np.roll(taken["first"], -1, 0)
        return Demonstrated(**taken, terminated=ends, truncated=np.zeros_like(ends))


@dataclass(frozen=True)
class LoggedSteps:
    """Single steps with what followed each, as who learns from differences of values wants them."""

    log: Log
    seen: NDArray
    """(M + E, ...), packed: the observations before each step, then those after each episode's
    last."""
    following: NDArray[np.int64]
    """Which row of `seen` followed each step (M,)."""
    terminated: NDArray[np.bool_]
    """(M,)."""
    truncated: NDArray[np.bool_]
    """(M,)."""
    unit: float
    """What rewards are divided by."""
    length: int
    """Steps that are drawn one after the other (T)."""

    @classmethod
    def of(cls, log: Log, length: int, unit: float = 1.0) -> "LoggedSteps":
        """The steps of a log, each with the row of what followed it; `length` steps are drawn one
        after the other, with rewards divided by `unit`."""
        steps = len(log.rewards)
        last = np.roll(log.first, -1)
        episodes = np.cumsum(log.first) - 1
        seen = np.concatenate([log.observations, log.last_observations])
        return cls(
            replace(
                log, observations=seen[:steps], last_observations=seen[steps:]
            ),  # lest memory holds them twice
            seen,
            np.where(last, steps + episodes, np.arange(steps) + 1),
            last & log.terminated[episodes],
            last & ~log.terminated[episodes],
            unit,
            length,
        )

    @property
    def observations(self) -> NDArray:
        """(M, ...), packed."""
        return self.log.observations

    def draw(self, already: int, size: int, seed: int) -> Logged:
        """The next steps (length, size), after so many times `length` were drawn: each once, in an
        order of chance, then each again."""
        length = self.length
        log = self.log
        rows = in_turn(len(log.rewards), already * length, size * length, seed).reshape(
            length, size
        )
        return Logged(
            observations=self.seen[rows],
            actions=log.actions[rows],
            rewards=log.rewards[rows] / np.float32(self.unit),
            terminated=self.terminated[rows],
            truncated=self.truncated[rows],
            first=np.ones(rows.shape, np.bool_),
            next_observations=self.seen[self.following[rows]],
        )


def demonstrated(
    path: str, observation_space: gymnasium.Space, action_space: gymnasium.Space
) -> Log:
    """The steps in a file of scripts/make_demonstrations.py.

    Raises ValueError, in one line, where columns are missing, of another kind, or of unequal
    lengths, or have values that cannot be."""
    columns = read_columns(path)
    if missing := set(COLUMNS) - columns.keys():
        raise ValueError(
            f"{path} lacks {', '.join(sorted(missing))}: make the demonstrations anew."
        )
    observations, actions, rewards, first = (columns[name] for name in COLUMNS)
    shapes = {name: columns[name].shape for name in COLUMNS}
    if (
        not all(shapes.values())
        or len({shape[0] for shape in shapes.values()}) > 1
        or not rewards.size
    ):
        raise ValueError(
            f"{path}: all columns must have as many rows, at least one, but their shapes are "
            f"{shapes}."
        )
    if (
        rewards.ndim != 1
        or rewards.dtype.kind not in "iuf"
        or first.ndim != 1
        or first.dtype != np.bool_
    ):
        raise ValueError(
            f"{path}: rewards must be a number and first true or false in each row, not "
            f"{rewards.dtype} "
            f"{rewards.shape[1:]} and {first.dtype} {first.shape[1:]}."
        )
    rows = np.arange(len(rewards))
    require_observations(path, "observations", observations, rows, observation_space)
    require_actions(path, "actions", actions, rows, action_space)
    require_possible(path, "actions", actions, rows, observations, observation_space)
    if actions.dtype.kind in "iu":
        actions = actions.astype(np.int64)  # torch indexes by no other
    require_finite(path, "rewards", rewards, rows)
    require_all(first[:1], path, "first", first[:1], rows, "true, for an episode begins there")
    episodes = int(first.sum())
    after = np.zeros(
        (episodes, *observations.shape[1:]), observations.dtype
    )  # nobody asks what comes after an end
    return Log(
        observations,
        actions,
        rewards.astype(np.float32),
        first,
        terminated=np.ones(episodes, np.bool_),
        last_observations=after,
    )


def read_columns(path: str) -> dict[str, NDArray]:
    """All columns of a safetensors file."""
    try:
        return load_file(Path(path))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as damage:
        reason = " ".join(str(damage).split())
        raise ValueError(
            f"{path} holds no demonstrations ({reason}); scripts/make_demonstrations.py makes them."
        ) from damage


def logged(path: str, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> Log:
    """The steps in a log file. Raises ValueError, in one line, for any other file, or one of other
    spaces."""
    rows, _ = read_rows(Path(path))
    require_spaces(path, rows, observation_space, action_space)
    return Log(
        rows.observations,
        rows.actions,
        rows.rewards.astype(np.float32),
        rows.first,
        rows.terminated,
        rows.last_observations,
    )


@lru_cache(2)  # drawing goes from one epoch to the next
def order(count: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """The numbers below `count` in an order of chance (count,), another one for each epoch and
    seed."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def in_turn(count: int, already: int, size: int, seed: int) -> NDArray[np.int64]:
    """The next `size` of the numbers below `count`, after so many were drawn: each once, in an
    order of chance, then each again."""
    epochs = range(already // count, (already + size - 1) // count + 1)
    numbers = np.concatenate([order(count, epoch, seed) for epoch in epochs])
    start = already % count
    return numbers[start : start + size]


def returns_of(
    rewards: NDArray[np.float32], first: NDArray[np.bool_], discount: float
) -> NDArray[np.float32]:
    """Discounted returns from each step to its episode's end, both (M,); summed in float64, so that
    a long episode's small rewards are not lost beside a large sum."""
    returns = np.zeros_like(rewards)
    later = 0.0
    for row in reversed(range(len(rewards))):
        later = float(rewards[row]) + discount * later
        returns[row] = later
        if first[row]:
            later = 0.0
    return returns


def windows(first: NDArray[np.bool_], length: int) -> NDArray[np.int64]:
    """Rows (W,) where windows of so many steps begin: with an episode's first step, but where an
    episode is longer than a window or the rows end. An episode that a window cuts off stands whole
    in the next one."""
    begins = np.flatnonzero(first)
    starts = []
    start = 0
    last = len(first) - length
    while start < last:
        starts.append(start)
        whole = begins[
            np.searchsorted(begins, start + length, side="right") - 1
        ]  # the episode that it cuts off
        start = int(whole) if whole > start else start + length
    return np.array([*starts, last], np.int64)
