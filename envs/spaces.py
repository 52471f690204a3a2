"""Observations and actions of any space, converted to those that agents read and take."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Tuple,
    flatten,
    flatten_space,
    unflatten,
)
from numpy.typing import NDArray

from envs.returned import brief, reader, reset_result, step_result

GOALS = ("achieved_goal", "desired_goal")
SMALLEST_SIDES = {2: 36, 3: 8, 4: 36}
"""Pixels along the shorter side of an image, by the array's axes; what is smaller is read as a
vector."""
MAX_NUMBERS = 100_000
MAX_JOINT_ACTIONS = 1_000


@dataclass(frozen=True)
class Conversion:
    """A space that agents understand, and the function from what one side gives to what the other
    takes."""

    space: gymnasium.Space
    convert: Callable[[Any], Any]

    def within(self, key: Any) -> "Conversion":
        """The same of what an observation has at `key`."""
        return Conversion(self.space, lambda whole: self.convert(whole[key]))


class StandardSpaces(gymnasium.Wrapper):
    """An environment whose observations are a Box or a Dict of Boxes, and whose actions are a
    Discrete from 0 or a one-dimensional Box.

    Images become (channels, height, width). Bytes that are no image become real numbers from 0 to
    1. A number that names a state, and each of several, becomes a vector with a single one. Vectors
    become one vector; images, and goals (`achieved_goal`, `desired_goal`), stay parts of their own,
    in a Dict. Several choices become one choice among all their combinations, several vectors of
    real numbers one.

    Raises ValueError, in one line, for spaces that cannot be converted."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.observed = standard_observation(env.observation_space)
        self.taken = standard_action(env.action_space)
        self.observation_space = self.observed.space
        self.action_space = self.taken.space
        self.read = reader(env.observation_space)
        if has_goals(env.observation_space) and env.has_wrapper_attr("compute_reward"):
            self.compute_reward = self._compute_reward

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = reset_result(self.env.reset(seed=seed, options=options), self.read)
        return self.observed.convert(observation), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        result = self.env.step(self.taken.convert(action))
        observation, reward, terminated, truncated, info = step_result(result, self.read)
        return self.observed.convert(observation), reward, terminated, truncated, info

    def _compute_reward(self, achieved_goal: NDArray, desired_goal: NDArray, info: Any) -> Any:
        """The environment's own rewards, for goals as this wrapper shows them: (G,), or (B, G) for
        many."""
        parts: Any = self.env.observation_space
        goals = (
            original_goals(parts[name], goal)
            for name, goal in zip(GOALS, (achieved_goal, desired_goal), strict=True)
        )
        return self.env.get_wrapper_attr("compute_reward")(*goals, info)


def standard(env: gymnasium.Env) -> gymnasium.Env:
    """The environment itself where agents understand its spaces, else in StandardSpaces.

    Raises ValueError, in one line, for spaces that cannot be converted."""
    converted = StandardSpaces(env)
    alike = (converted.observation_space, converted.action_space) == (
        env.observation_space,
        env.action_space,
    )
    return env if alike else converted


def has_goals(space: gymnasium.Space) -> bool:
    """Whether a space is a Dict that has `achieved_goal` and `desired_goal`."""
    return isinstance(space, Dict) and set(GOALS) <= set(space.spaces)


def standard_observation(space: gymnasium.Space) -> Conversion:
    """A Box; or a Dict of Boxes where there are goals, or an image and anything else.

    Raises ValueError, in one line, for a space that cannot be converted."""
    if has_goals(space):
        assert isinstance(space, Dict)
        return with_goals({name: box_alone(name, part) for name, part in space.spaces.items()})
    parts = {
        name: part for name, part in parts_of(space).items() if math.prod(part.space.shape or ())
    }
    if not parts:
        raise ValueError(f"Its observations have no numbers: {brief(space)}.")
    if any(is_image(part.space) for part in parts.values()) and len(parts) > 1:
        return by_name(parts)
    return side_by_side(list(parts.values())) if len(parts) > 1 else next(iter(parts.values()))


def parts_of(space: gymnasium.Space) -> dict[str, Conversion]:
    """The Boxes that a space is made of, by name, each with its conversion from the whole
    observation.

    Names within names are joined by slashes."""
    if not isinstance(space, Dict | Tuple):
        return {"": leaf(space)}
    found: dict[str, Conversion] = {}
    inner = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
    for key, part in inner:
        for name, conversion in parts_of(part).items():
            whole_name = f"{key}/{name}" if name else str(key)
            if whole_name in found:
                raise ValueError(f"Two parts of its observations would be called '{whole_name}'.")
            found[whole_name] = conversion.within(key)
    return found


def leaf(space: gymnasium.Space) -> Conversion:
    """The conversion of a space without parts: an image, channels first, or a vector of numbers."""
    if isinstance(space, Box):
        return image(space) if shows_image(space) else vector(space)
    if not isinstance(space, Discrete | MultiDiscrete | MultiBinary):
        raise ValueError(
            f"Agents cannot read observations of {brief(space)}; wrap the environment."
        )
    flat = flat_size(space)
    if flat > MAX_NUMBERS:
        raise ValueError(
            f"Its observations of {brief(space)} would be vectors of {flat:,} zeros and ones; "
            f"{MAX_NUMBERS:,} are the most; wrap the environment."
        )
    zeros_and_ones = Box(0.0, 1.0, (flat,), np.float32)
    return Conversion(
        zeros_and_ones, lambda observation: np.asarray(flatten(space, observation), np.float32)
    )


def flat_size(space: Discrete | MultiDiscrete | MultiBinary) -> int:
    """How many zeros and ones gymnasium flattens an observation of this space to."""
    if isinstance(space, MultiBinary):
        return math.prod(space.shape)
    return int(space.n if isinstance(space, Discrete) else space.nvec.sum())


def vector(space: Box) -> Conversion:
    """The numbers one after the other; bytes as real numbers from 0 to 1."""
    if space.dtype == np.uint8:
        unit = Box(0.0, 1.0, (math.prod(space.shape),), np.float32)
        largest = largest_byte(space)
        return Conversion(unit, lambda observation: observation.ravel() / largest)
    return Conversion(flatten_space(space), np.ravel)


def largest_byte(space: Box) -> np.float32:
    """What bytes are divided by to be real numbers from 0 to 1: their highest bound, 1 at least."""
    return np.float32(space.high.max(initial=1))


def shows_image(space: Box) -> bool:
    """Whether a Box is an image, or a stack of images: bytes, or real numbers from 0 to 1 or 255,
    of enough pixels."""
    if not math.prod(space.shape) or len(space.shape) not in SMALLEST_SIDES:
        return False
    low = float(space.low.flat[0])
    high = float(space.high.flat[0])
    uniform = bool((space.low == low).all() and (space.high == high).all())
    reals = (
        np.issubdtype(space.dtype, np.floating)
        and uniform
        and (low, high) in ((0.0, 1.0), (0.0, 255.0))
    )
    # Height and width are taken to be the two longest axes.
    *_, shorter, _ = sorted(space.shape)
    return bool(space.dtype == np.uint8 or reals) and shorter >= SMALLEST_SIDES[len(space.shape)]


def image(space: Box) -> Conversion:
    """(height, width), (height, width, channels), or stacks (frames, height, width, channels) of
    them -> (channels, height, width), of a stack the oldest frame's first. Images that have their
    channels first are left as they are.

    The axis of channels is the last one where it is shorter than the first of an image's."""

    def channels_first(array: NDArray) -> NDArray:
        if array.ndim == 2:
            return array[None]
        if array.shape[-1] < array.shape[-3]:
            array = np.moveaxis(array, -1, -3)
        return np.ascontiguousarray(array.reshape(-1, *array.shape[-2:]))

    low = channels_first(space.low)
    high = channels_first(space.high)
    return Conversion(Box(low, high, dtype=space.dtype.type), channels_first)  # pyright: ignore[reportOptionalMemberAccess]


def is_image(space: gymnasium.Space) -> bool:
    """Whether a converted space is an image: it has three axes, where vectors have one."""
    return len(space.shape or ()) == 3


def side_by_side(parts: list[Conversion]) -> Conversion:
    """Vectors as one."""
    spaces: list[Any] = [part.space for part in parts]
    dtype = np.result_type(*map(real_dtype, spaces))
    low, high = (
        np.concatenate([getattr(space, bound) for space in spaces]) for bound in ("low", "high")
    )
    whole = Box(low.astype(dtype), high.astype(dtype), dtype=dtype.type)
    return Conversion(
        whole, lambda seen: np.concatenate([part.convert(seen) for part in parts], dtype=dtype)
    )


def by_name(parts: dict[str, Conversion]) -> Conversion:
    """The parts in a Dict, each converted by itself."""
    space = Dict({name: part.space for name, part in parts.items()})
    return Conversion(
        space, lambda seen: {name: part.convert(seen) for name, part in parts.items()}
    )


def box_alone(name: str, space: gymnasium.Space) -> Conversion:
    """A part of observations that have goals."""
    part = standard_observation(space)
    if not isinstance(part.space, Box):
        raise ValueError(
            f"'{name}' of observations with goals must be vectors or one image, not {brief(space)}."
        )
    return part.within(name)


def with_goals(parts: dict[str, Conversion]) -> Conversion:
    """Parts by name, all vectors in one dtype of real numbers."""
    vectors = [part.space for part in parts.values() if not is_image(part.space)]
    dtype = np.result_type(*map(real_dtype, vectors))
    return by_name(
        {
            name: part if is_image(part.space) else as_dtype(part, dtype)
            for name, part in parts.items()
        }
    )


def real_dtype(space: Any) -> np.dtype:
    """The dtype of real numbers that holds the numbers of a Box: its own, or float32 for integers
    within 2**24."""
    if space.dtype.kind == "f":
        return space.dtype
    small = max(abs(int(space.low.min())), abs(int(space.high.max()))) <= 2**24
    return np.dtype(np.float32 if small else np.float64)


def as_dtype(part: Conversion, dtype: np.dtype) -> Conversion:
    """The same part with its bounds and its numbers in another dtype."""
    space: Any = part.space
    cast = Box(space.low.astype(dtype), space.high.astype(dtype), dtype=dtype.type)
    return Conversion(cast, lambda seen: part.convert(seen).astype(dtype))


def original_goals(space: gymnasium.Space, goals: NDArray) -> NDArray:
    """Converted goals (G,) or (B, G) as the environment has them: (*goal) or (B, *goal)."""
    goals = np.asarray(goals)
    if isinstance(space, Box) and shows_image(space):
        raise ValueError(f"Goals that are images cannot be given another reward: {brief(space)}.")
    if isinstance(space, Box):
        goals = np.rint(goals * largest_byte(space)) if space.dtype == np.uint8 else goals
        return goals.reshape(*goals.shape[:-1], *space.shape).astype(space.dtype)
    single = [unflatten(space, goal) for goal in goals.reshape(-1, goals.shape[-1])]
    return np.stack(single).reshape(*goals.shape[:-1], *(space.shape or ()))


def standard_action(space: gymnasium.Space) -> Conversion:
    """A Discrete from 0, or a one-dimensional Box of real numbers; `convert` gives what the
    environment takes.

    Raises ValueError, in one line, for a space that cannot be converted."""
    if all(
        isinstance(part, Box) and np.issubdtype(part.dtype, np.floating)
        for part in action_parts(space)
    ):
        flat = flatten_space(space)
        if not isinstance(flat, Box) or not math.prod(flat.shape):
            raise ValueError(f"Its actions have no numbers: {brief(space)}.")
        return Conversion(flat, lambda action: unflatten(space, np.asarray(action)))
    options, choose = choices(space)
    number = math.prod(options)
    if number > MAX_JOINT_ACTIONS:
        raise ValueError(
            f"Its actions of {brief(space)} have {number:,} combinations; agents choose among at "
            "most "
            f"{MAX_JOINT_ACTIONS:,}; wrap the environment."
        )
    return Conversion(
        Discrete(number),
        lambda action: choose([int(i) for i in np.unravel_index(int(action), options)]),
    )


def action_parts(space: gymnasium.Space) -> list[gymnasium.Space]:
    """The spaces, neither Dict nor Tuple, that an action space is made of, in its order."""
    if isinstance(space, Dict | Tuple):
        return [inner for part in parts_in(space) for inner in action_parts(part)]
    return [space]


def parts_in(space: Dict | Tuple) -> list[gymnasium.Space]:
    """The spaces one level below a Dict or a Tuple, in its order."""
    return list(space.spaces.values() if isinstance(space, Dict) else space.spaces)


def choices(space: gymnasium.Space) -> tuple[list[int], Callable[[list[int]], Any]]:
    """How many options each choice in a space has, and the action for an option of each.

    Raises ValueError where something else than choices is in it."""
    if isinstance(space, Dict | Tuple):
        keys = list(space.spaces) if isinstance(space, Dict) else list(range(len(space.spaces)))
        inner = [choices(part) for part in parts_in(space)]
        ends = np.cumsum([len(options) for options, _ in inner]).tolist()
        starts = [0, *ends[:-1]]

        def choose(chosen: list[int]) -> Any:
            parts = [make(chosen[a:b]) for (_, make), a, b in zip(inner, starts, ends, strict=True)]
            return dict(zip(keys, parts, strict=True)) if isinstance(space, Dict) else tuple(parts)

        return [option for options, _ in inner for option in options], choose
    first, number = range_of(space)
    return number.ravel().tolist(), lambda chosen: member_of(
        space, first + np.reshape(chosen, first.shape)
    )


def range_of(space: gymnasium.Space) -> tuple[NDArray, NDArray]:
    """The first option of each choice, and the number of them."""
    if isinstance(space, Discrete):
        return np.array(space.start), np.array(space.n)
    if isinstance(space, MultiDiscrete):
        return np.asarray(space.start), np.asarray(space.nvec)
    if isinstance(space, MultiBinary):
        return np.zeros(space.shape, np.int64), np.full(space.shape, 2)
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.integer):
        low = space.low.astype(
            object
        )  # Python's integers: the number of options may not fit into 64 bits
        return low, space.high.astype(object) - low + 1
    raise ValueError(
        f"Agents cannot choose {brief(space)}, or not beside other choices: actions must all be "
        "choices among "
        "few, or all be real numbers; wrap the environment."
    )


def member_of(space: gymnasium.Space, chosen: NDArray) -> Any:
    """The chosen options as an action of the space: an int64 of a Discrete, else an array."""
    return np.int64(chosen) if isinstance(space, Discrete) else chosen.astype(space.dtype)
