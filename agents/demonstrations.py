"""What was demonstrated, in the windows that a learner takes it in."""

from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from agents.engine.packing import Packing
from agents.interfaces import Demonstrated

COLUMNS = ("observations", "actions", "rewards", "first")


@dataclass(frozen=True)
class Demonstrations:
    """Whole episodes one after the other, M steps in all."""

    columns: dict[str, NDArray]
    """`observations` (M, ...), packed; `actions` (M, ...); `rewards` and `returns` (M,) float32; `first` (M,) bool."""
    starts: NDArray[np.int64]
    """Of each window (W,), the row that it begins with; together the windows have every row."""
    length: int
    """Steps of a window (T)."""

    @classmethod
    def read(
        cls, path: str, observation_space: gymnasium.Space, action_space: gymnasium.Space, discount: float, length: int
    ) -> "Demonstrations":
        """Raises ValueError, in one line, where they are missing, too few, or of another environment."""
        if not path:
            raise ValueError("Cloning needs demonstrations: --algo.demonstrations FILE, of make_demonstrations.py.")
        try:
            columns = load_file(Path(path))
        except (OSError, SafetensorError) as missing:
            raise ValueError(
                f"{path} holds no demonstrations ({missing}); scripts/make_demonstrations.py makes them."
            ) from missing
        if missing := set(COLUMNS) - columns.keys():
            raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: make the demonstrations anew.")
        packing = Packing(observation_space)
        seen, done = columns["observations"], columns["actions"]
        if (seen.shape[1:], seen.dtype) != (packing.shape, packing.dtype):
            raise ValueError(f"{path} holds no demonstrations for observations of {observation_space}.")
        if done.shape[1:] != action_space.shape:
            raise ValueError(f"{path} holds no demonstrations for actions of {action_space}.")
        if len(seen) < length:
            raise ValueError(f"{path} has {len(seen)} steps, fewer than a window's {length}: --algo.rollout-length.")
        returns = returns_of(columns["rewards"], columns["first"], discount)
        return cls(columns | {"returns": returns}, windows(columns["first"], length), length)

    def draw(self, already: int, size: int, seed: int) -> Demonstrated:
        """The next windows, side by side as if they were `size` environments, after so many were drawn: each once, in
        an order of chance, then each again."""
        numbers = np.arange(already, already + size)
        chosen = np.array([self._order(int(n) // len(self.starts), seed)[n % len(self.starts)] for n in numbers])
        rows = self.starts[chosen][None, :] + np.arange(self.length)[:, None]
        taken = {name: column[rows] for name, column in self.columns.items()}
        taken["first"][0] = True  # nothing is remembered from before a window
        ends = np.roll(taken["first"], -1, 0)
        return Demonstrated(**taken, terminated=ends, truncated=np.zeros_like(ends))

    def _order(self, epoch: int, seed: int) -> NDArray[np.int64]:
        return np.random.default_rng([seed, epoch]).permutation(len(self.starts))


def returns_of(rewards: NDArray[np.float32], first: NDArray[np.bool_], discount: float) -> NDArray[np.float32]:
    """Discounted returns from each step to its episode's end, both (M,)."""
    returns = np.zeros_like(rewards)
    later = np.float32(0)
    for row in reversed(range(len(rewards))):
        returns[row] = later = rewards[row] + np.float32(discount) * later
        if first[row]:
            later = np.float32(0)
    return returns


def windows(first: NDArray[np.bool_], length: int) -> NDArray[np.int64]:
    """Rows (W,) where windows of so many steps begin: with an episode's first step, but where an episode is longer than
    a window or the rows end. An episode that a window cuts off stands whole in the next one."""
    begins = np.flatnonzero(first)
    starts, start, last = [], 0, len(first) - length
    while start < last:
        starts.append(start)
        whole = begins[np.searchsorted(begins, start + length, side="right") - 1]  # the episode that it cuts off
        start = int(whole) if whole > start else start + length
    return np.array([*starts, last], np.int64)
