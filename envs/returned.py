"""What an environment returns, checked against its spaces and copied: it may write to its arrays
again."""

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from numpy.typing import NDArray

from common.info import ACTION_MASK, EPISODE_METRICS, IS_SUCCESS, LEARNING_TERMINATED
from common.spaces import in_words

LARGEST = float(np.finfo(np.float32).max)
"""Networks read float32; a larger number would be infinite there."""
FEW = 32
"""Up to so many numbers, Python asks each faster than numpy asks all."""

ObservationReader = Callable[[Any], Any]
Step = tuple[Any, float, bool, bool, dict[str, Any]]


def reset_result(result: Any, read: ObservationReader) -> tuple[Any, dict[str, Any]]:
    """The observation and the info that `reset` returned; `read` is the observation space's
    `reader`.

    Raises ValueError for anything else, FloatingPointError for numbers that are not finite."""
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
        raise ValueError(
            f"its reset must return (observation, info), and returned {described(result)}"
        )
    observation, info = result
    return read(observation), known_info(info)


def step_result(result: Any, read: ObservationReader) -> Step:
    """Observation, reward, terminated, truncated and info that `step` returned; errors as in
    `reset_result`."""
    if not (isinstance(result, tuple) and len(result) == 5):
        raise ValueError(
            f"its step must return (observation, reward, terminated, truncated, info), and "
            f"returned {described(result)}"
        )
    observation, reward, terminated, truncated, info = result
    if not isinstance(info, Mapping):
        raise ValueError(f"its info must be a dict, not {described(info)}")
    return (
        read(observation),
        finite_number("reward", reward),
        truth("terminated", terminated),
        truth("truncated", truncated),
        known_info(info),
    )


def reader(space: gymnasium.Space) -> ObservationReader:
    """The function that copies an observation of this space, in the space's dtype.

    It raises ValueError for an observation that the space does not have, FloatingPointError for one
    that is not finite. Of a Box the shape is checked and that no number changes with the dtype, but
    for the rounding of real numbers; its bounds are not checked, because many environments pass
    theirs."""
    for kind, make in READERS.items():
        if isinstance(space, kind):
            return make(space)
    return lambda observation: deepcopy(member(space, observation))


def array_reader(space: gymnasium.Space) -> ObservationReader:
    """The `reader` of a space of arrays, which does not check its bounds."""
    shape = tuple(space.shape or ())
    dtype = np.dtype(space.dtype)
    real = dtype.kind == "f"
    finite = few_finite if math.prod(shape) <= FEW else all_finite

    def read(observation: Any) -> NDArray:
        if isinstance(observation, np.ma.MaskedArray) and observation.mask.any():
            raise ValueError("its observation has masked numbers; put numbers in their places")
        array = np.asarray(observation)
        if array.shape != shape:
            raise ValueError(
                f"its observation has the shape {array.shape}, and its space has {shape}"
            )
        array = array.copy() if array.dtype == dtype else converted(array, dtype)
        if real and not finite(array):
            raise FloatingPointError(f"its observation had {unusable(array)}")
        return array

    return read


def few_finite(array: NDArray) -> bool:
    """Whether every number is finite as float32, in which networks read it."""
    return all(map(LARGEST.__ge__, map(abs, array.ravel().tolist())))


def all_finite(array: NDArray) -> bool:
    """As `few_finite`, for arrays of many numbers."""
    return float(np.abs(array).max(initial=0.0)) <= LARGEST


def unusable(array: NDArray) -> str:
    """The first number that is not finite as float32."""
    number = next(number for number in array.ravel().tolist() if not abs(number) <= LARGEST)
    return (
        f"{number:g}, which float32 cannot hold"
        if math.isfinite(number)
        else f"{number}, which is not finite"
    )


def bounded_reader(space: gymnasium.Space) -> ObservationReader:
    """As `array_reader`, but raises ValueError also for numbers that the space does not contain."""
    read = array_reader(space)
    return lambda observation: member(space, read(observation))


def state_reader(space: Discrete) -> ObservationReader:
    """For numbers that name a state; an array of a single one will do."""

    def read(observation: Any) -> np.int64:
        array = np.asarray(observation)
        if array.size != 1:
            raise ValueError(
                f"its observation must be one number of {in_words(space)}, not {described(observation)}"
            )
        return member(space, np.int64(converted(array.reshape(()), np.dtype(np.int64))))

    return read


def dict_reader(space: Dict) -> ObservationReader:
    """The `reader` of a Dict; it leaves out entries that the space does not have."""
    readers = {name: reader(part) for name, part in space.spaces.items()}

    def read(observation: Any) -> dict[str, Any]:
        if not isinstance(observation, Mapping):
            raise ValueError(
                f"its observation must be a dict of {', '.join(readers)}, not "
                f"{described(observation)}"
            )
        if missing := readers.keys() - observation.keys():
            raise ValueError(
                f"its observation has no {', '.join(sorted(missing))}, which its space has"
            )
        return {name: read_part(observation[name]) for name, read_part in readers.items()}

    return read


def tuple_reader(space: Tuple) -> ObservationReader:
    """The `reader` of a Tuple; it also takes a list, and returns a tuple."""
    readers = [reader(part) for part in space.spaces]

    def read(observation: Any) -> tuple[Any, ...]:
        if not isinstance(observation, tuple | list) or len(observation) != len(readers):
            raise ValueError(
                f"its observation must have {len(readers)} parts, not be {described(observation)}"
            )
        return tuple(read_part(part) for read_part, part in zip(readers, observation, strict=True))

    return read


READERS: dict[type[gymnasium.Space], Callable[[Any], ObservationReader]] = {
    Box: array_reader,
    Discrete: state_reader,
    MultiDiscrete: bounded_reader,
    MultiBinary: bounded_reader,
    Dict: dict_reader,
    Tuple: tuple_reader,
}


def converted(array: NDArray, dtype: np.dtype) -> NDArray:
    """The array in another dtype; raises ValueError where a number would change by more than
    rounding."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"its observation must be numbers, not {array.dtype}")
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
        rounds = array.dtype.kind == dtype.kind == "f"
        if not rounds and not (cast.astype(array.dtype) == array).all():
            raise ValueError(
                f"its observation is {array.dtype}, and its space's {dtype} cannot hold its numbers"
            )
    return cast


def member(space: gymnasium.Space, observation: Any) -> Any:
    """The observation; raises ValueError where the space does not contain it."""
    if not space.contains(observation):
        raise ValueError(
            f"its observation must lie in {in_words(space)}, and was {described(observation)}"
        )
    return observation


def finite_number(name: str, value: Any) -> float:
    """The value as a float; an array of a single number will do.

    Raises ValueError for what is no number, FloatingPointError for one that is not finite."""
    if not isinstance(value, float | int | np.floating | np.integer):
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "biuf":
            raise ValueError(f"its {name} must be a number, not {described(value)}")
        value = array.reshape(())[()]
    number = float(value)
    # Not `abs(number) > LARGEST`, which is false of nan, too.
    if not abs(number) <= LARGEST:
        raise FloatingPointError(f"its {name} was {value}")
    return number


def truth(name: str, value: Any) -> bool:
    """The value as a bool; numpy's, 0 and 1, or an array of a single one will do. Raises ValueError
    otherwise."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf" or array.reshape(())[()] not in (0, 1):
        raise ValueError(f"its {name} must be true or false, not {described(value)}")
    return bool(array.reshape(())[()])


def numbers_by_name(name: str, values: Any) -> dict[str, float]:
    """The values as floats, without those that are None or nan, which mean nothing for this
    episode."""
    if not isinstance(values, Mapping):
        raise ValueError(f"its {name} must be numbers by name, not {described(values)}")
    if not all(isinstance(key, str) for key in values):
        raise ValueError(f"its {name} must have names that are text, not {described(values)}")
    # Only nan is not equal to itself.
    meant = {key: value for key, value in values.items() if value is not None and value == value}
    return {key: finite_number(f"{name} {key}", value) for key, value in meant.items()}


def action_mask(name: str, value: Any) -> NDArray[np.int8]:
    """The value as int8 (A,); raises ValueError for all but a vector of zeros and ones."""
    try:
        mask = np.asarray(value)
    except ValueError:  # lists of several lengths
        mask = np.zeros(())
    if mask.ndim != 1 or mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"its {name} must say of each action whether it is allowed, not {described(value)}"
        )
    return mask.astype(np.int8)


INFO: dict[str, Callable[[str, Any], Any]] = {
    IS_SUCCESS: truth,
    LEARNING_TERMINATED: truth,
    "cost": finite_number,
    "lives": finite_number,
    EPISODE_METRICS: numbers_by_name,
    ACTION_MASK: action_mask,
}
"""The keys of an environment's `info` that are read, and how."""


def known_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of an `info` that are read, each in one type, whatever the environment uses; None
    is no entry.

    Of what nobody reads, gymnasium's vector environments need the same type and shape at every step
    and in every environment. Raises ValueError for an entry that cannot be read, FloatingPointError
    for one that is not finite."""
    if not info:
        return {}
    given = ((key, info.get(key)) for key in INFO)
    return {key: INFO[key](key, value) for key, value in given if value is not None}


def described(value: Any) -> str:
    """The value and its type for an error message of one line."""
    return f"{type(value).__name__} {brief(value)}"


def brief(value: Any) -> str:
    """The value's text, at most 60 characters of it, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
