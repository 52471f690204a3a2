"""Environments as agents step them: what they return is copied, what they raise is told, what they
say is read."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from agents.interfaces import Environment, EnvironmentFailure
from common.info import CRASHES, ENVIRONMENT_FAULT


class CopiedObservations(gymnasium.Wrapper):
    """An environment whose observations nobody writes to again."""

    def step(self, action: Any) -> Any:
        observation, *rest = self.env.step(action)
        return deepcopy(observation), *rest


@contextmanager
def opened(environment: Environment) -> Iterator[Any]:
    """One environment, built here and closed in the end."""
    with closing_quietly(environment.build()) as env:
        yield env


@contextmanager
def closing_quietly(env: Any) -> Iterator[Any]:
    """The environment, or the vector of them, that is closed in the end by `close`."""
    try:
        yield env
    finally:
        close(env)


def close(env: gymnasium.Env | VectorEnv) -> None:
    """Closes an environment. What it raises then is passed over: nobody will use it again."""
    with suppress(*CRASHES):
        env.close()
    if isinstance(env, VectorEnv):
        env.unwrapped.closed = True  # else it would try again when Python forgets it


def built_vector(environment: Environment, num_envs: int) -> VectorEnv:
    """The environments in step; raises ValueError unless they reset in the step in which an episode
    ends.

    gymnasium's SyncVectorEnv resets an environment before anybody has read the final observation,
    so that one that writes all observations into one array would overwrite it: the observations of
    its environments are copied here, unless they have `copies_observations`. The arrays that the
    vector itself returns may be written to at the next step: whoever keeps them must copy them."""
    vector = environment.build_vector(num_envs)
    if vector.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
        raise ValueError(f"{vector} must reset in the same step (AutoresetMode.SAME_STEP).")
    synchronous: Any = vector.unwrapped
    if isinstance(synchronous, SyncVectorEnv):
        synchronous.envs = [
            env if getattr(env, "copies_observations", False) else CopiedObservations(env)
            for env in synchronous.envs
        ]
    return vector


@contextmanager
def all_environments() -> Iterator[None]:
    """Whatever a vector raises is a failure of its environments."""
    try:
        yield
    except CRASHES as failure:
        told = " ".join(f"{type(failure).__name__}: {failure}".split())
        raise EnvironmentFailure(told) from failure


def faults(info: dict[str, Any]) -> dict[int, str]:
    """Environment -> why it failed, of a vector's info."""
    return {n: reason for n, reason in enumerate(info.get(ENVIRONMENT_FAULT, ())) if reason}


def says(infos: dict[str, Any], name: str, num_envs: int) -> NDArray[np.bool_]:
    """Which environments have an entry of this name in a vector's infos (N,).

    Beside each name stands, underscored, which environments have it; where that is missing, those
    that are not None."""
    if name not in infos:
        return np.zeros(num_envs, np.bool_)
    entries = np.asarray(infos[name])
    there = (
        np.array([entry is not None for entry in entries])
        if entries.dtype == object
        else np.ones(num_envs, bool)
    )
    return there & infos.get(f"_{name}", True)


def numbers_of(
    infos: dict[str, Any], name: str, missing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The number of this name in a vector's infos (N,); that of `missing` (N,) where an environment
    has none."""
    numbers = missing.copy()
    said = says(infos, name, len(missing))
    if said.any():
        numbers[said] = np.asarray(infos[name])[said].astype(np.float64)
    return numbers
