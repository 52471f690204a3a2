"""Environments with the habits of other people, which keep a record of what really happened; a
strategy draws them."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from hypothesis import strategies as st

LONGEST_EPISODE = 4

SPACES: dict[str, gymnasium.Space] = {
    "vector": Box(-1e6, 1e6, (3,), np.float32),
    "float64": Box(-np.inf, np.inf, (3,), np.float64),
    "float16": Box(-1000, 1000, (3,), np.float16),
    "bytes": Box(0, 255, (3,), np.uint8),
    "int64": Box(-(2**40), 2**40, (3,), np.int64),
    "matrix": Box(-1e6, 1e6, (2, 2), np.float32),
    "image": Box(0, 255, (12, 10, 3), np.uint8),
    "dict": Dict({"a": Box(0, 255, (2, 4, 4), np.uint8), "b": Box(-1e6, 1e6, (2,), np.float32)}),
    "tuple": Tuple((Box(-1e6, 1e6, (2,), np.float32), Discrete(60))),
    "state": Discrete(60, start=5),
    "multi-discrete": MultiDiscrete([60, 60]),
    "multi-binary": MultiBinary(6),
}

Infos = Literal["none", "constant", "late", "varying", "unstackable", "reused", "none-valued"]
Dtype = Literal["right", "wider", "list"]
Scalar = Literal["python", "int", "numpy", "array"]


@dataclass(frozen=True)
class Habits:
    """What an environment does in its own way, all of it allowed or at least frequent."""

    space: str = "vector"
    """Of its observations, a key of SPACES."""
    one_array: bool = False
    """Writes each observation into the arrays of the one before."""
    infos: Infos = "none"
    dtype: Dtype = "right"
    """Of observations: the space's, a wider one, or lists."""
    scalar: Scalar = "python"
    """Kind of rewards and of the two flags."""
    changes_action: bool = False
    """Writes to the action's array."""
    lengths: tuple[int, ...] = (3,)
    """Steps of one episode after the other."""


@dataclass
class Happened:
    """One step, or a reset where there is no action."""

    observation: Any
    action: Any = None
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    success: bool | None = None


class OddEnv(gymnasium.Env):
    """Counts its observations. Number k holds k in every place, and the reward of the step before
    it is k; even episodes terminate, odd ones are truncated."""

    metadata: ClassVar[dict[str, Any]] = {}
    action_space = Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.observation_space = SPACES[habits.space]
        self.count, self.episode, self.clock = -1, -1, 0
        self.happened: list[Happened] = []
        self.arrays = numbered(self.observation_space, 0)
        self.info: dict[str, Any] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.count, self.episode, self.clock = self.count + 1, self.episode + 1, 0
        self.happened.append(Happened(numbered(self.observation_space, self.count)))
        return self._observation(), self._info(None, over=False)

    def step(self, action: Any):
        taken = np.array(action)
        if self.habits.changes_action:
            action *= 0.0
            action += 9.0
        self.count, self.clock = self.count + 1, self.clock + 1
        lengths = self.habits.lengths
        over = self.clock == lengths[self.episode % len(lengths)]
        even = self.episode % 2 == 0
        success = over and even
        self.happened.append(
            Happened(
                numbered(self.observation_space, self.count),
                taken,
                float(self.count),
                over and even,
                over and not even,
            )
        )
        observation, info = self._observation(), self._info(success, over)
        self.happened[-1].success = self._said(success, over)
        reward, terminated, truncated = (
            as_scalar(value, self.habits.scalar)
            for value in (self.count, over and even, over and not even)
        )
        return observation, reward, terminated, truncated, info

    def _observation(self) -> Any:
        new = numbered(self.observation_space, self.count)
        if self.habits.one_array:
            new = self.arrays = overwritten(self.arrays, new)
        return as_dtype(new, self.habits.dtype)

    def _said(self, success: bool, over: bool) -> bool | None:
        """What the info of this step says of success."""
        return {
            "none": None,
            "constant": success,
            "late": True if success else None,
            "varying": success,
            "unstackable": success if over else None,
            "reused": success,
            "none-valued": success if over else None,
        }[self.habits.infos]

    def _info(self, success: bool | None, over: bool) -> dict[str, Any]:
        """Infos as people write them; after a reset `success` is None."""
        habit, k = self.habits.infos, self.count
        flag = bool(success)
        match habit:
            case "none":
                return {}
            case "constant":
                return {"is_success": np.bool_(flag), "steps": k}
            case "late":
                return {"is_success": True, "found": "the goal"} if flag else {}
            case "varying":
                kinds: list[Any] = [k, str(k), np.zeros(k % 3), {"k": k}, None, [k], k / 2]
                return {
                    "anything": kinds[k % len(kinds)],
                    "is_success": (flag, int(flag), float(flag))[k % 3],
                }
            case "unstackable":
                seen = {"seen": [np.zeros(k % 4), object()], "final_info": k, "final_obs": "none"}
                return seen | ({"is_success": np.array([flag])} if over else {})
            case "reused":
                self.info.clear()
                self.info.update(
                    {"is_success": flag, "episode_metrics": {"count": k}, "cost": k % 2 or 0.5}
                )
                return self.info
            case "none-valued":
                return {"is_success": flag if over else None, "cost": None}


def numbered(space: gymnasium.Space, k: int) -> Any:
    """Observation number k: k in every place, or as near as the space allows."""
    match space:
        case Dict():
            return {name: numbered(part, k) for name, part in space.spaces.items()}
        case Tuple():
            return tuple(numbered(part, k) for part in space.spaces)
        case Discrete():
            return np.int64(space.start + k % space.n)
        case MultiDiscrete():
            return (k % space.nvec).astype(space.dtype)
        case MultiBinary():
            return np.array([k >> bit & 1 for bit in range(int(space.n))], space.dtype)  # type: ignore[arg-type]
    assert isinstance(space, Box)
    return np.full(space.shape, k, space.dtype)


def overwritten(arrays: Any, values: Any) -> Any:
    """The same arrays with other values; numbers are replaced."""
    if isinstance(arrays, dict):
        arrays.update({name: overwritten(arrays[name], values[name]) for name in arrays})
        return arrays
    if isinstance(arrays, tuple):
        return tuple(overwritten(array, value) for array, value in zip(arrays, values, strict=True))
    if not isinstance(arrays, np.ndarray):
        return values
    arrays[...] = values
    return arrays


def as_dtype(observation: Any, dtype: Dtype) -> Any:
    if dtype == "right":
        return observation
    if isinstance(observation, dict):
        return {name: as_dtype(part, dtype) for name, part in observation.items()}
    if isinstance(observation, tuple):
        return tuple(as_dtype(part, dtype) for part in observation)
    if dtype == "list":
        return observation.tolist()
    return np.asarray(observation).astype(
        np.float64 if np.asarray(observation).dtype.kind == "f" else np.int64
    )


def as_scalar(value: float, kind: Scalar) -> Any:
    match kind:
        case "python":
            return value if isinstance(value, bool) else float(value)
        case "int":
            return int(value)
        case "numpy":
            return np.bool_(value) if isinstance(value, bool) else np.float32(value)
        case "array":
            return np.array([value])


def habits(spaces: tuple[str, ...] = tuple(SPACES)) -> st.SearchStrategy[Habits]:
    return st.builds(
        Habits,
        space=st.sampled_from(spaces),
        one_array=st.booleans(),
        infos=st.sampled_from(Infos.__args__),  # type: ignore[attr-defined]
        dtype=st.sampled_from(Dtype.__args__),  # type: ignore[attr-defined]
        scalar=st.sampled_from(Scalar.__args__),  # type: ignore[attr-defined]
        changes_action=st.booleans(),
        lengths=st.lists(st.integers(1, LONGEST_EPISODE), min_size=1, max_size=3).map(tuple),
    )


@dataclass(frozen=True)
class OddConfig:
    """The Environment of `OddEnv`; `built` are the environments of the latest vector."""

    habits: Habits = Habits()
    built: list[OddEnv] = field(default_factory=list, compare=False)

    @property
    def name(self) -> str:
        return "odd"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> OddEnv:
        made = OddEnv(self.habits)
        self.built.append(made)
        return made


def with_habits(**changes: Any) -> OddConfig:
    return OddConfig(replace(Habits(), **changes))
