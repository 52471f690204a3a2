"""Masks of actions: wherever an environment says which of its discrete actions are possible, agents
read it as a part of the observation."""

import math
from contextlib import suppress
from functools import reduce
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from common.info import ACTION_MASK, CRASHES
from envs.returned import reset_result, step_result
from envs.spaces import choices, parts_of, standard

OBSERVATION = "observation"
"""The name of what was the whole observation, beside the mask."""
METHOD = "action_masks"
"""sb3-contrib's name for the method that returns the mask."""


def standard_with_mask(env: gymnasium.Env) -> gymnasium.Env:
    """The environment in spaces that agents understand; where it says which actions are possible,
    with the part `action_mask` in its observations.

    It is reset once, to see whether its info has a mask. Raises ValueError, in one line, for spaces
    that cannot be converted, and for a mask of another number of actions."""
    inner = MaskInInfo(env)
    converted = standard(inner if inner.source else env)
    if not isinstance(converted.action_space, Discrete):
        return standard(env)
    if hidden := [name for name in parts_of(env.observation_space) if is_hidden_mask(name)]:
        raise ValueError(
            f"The part '{hidden[0]}' of its observations is not read as a mask: a mask must be a "
            "part of its own beside others."
        )
    if inner.source or info_has_mask(converted):
        return MaskInObservation(converted, choices(env.action_space)[0])
    return Unmasked(converted)


def is_hidden_mask(name: str) -> bool:
    """Whether a part of an observation, by its name as `parts_of` gives it, is a mask within another
    part, or alone."""
    return name.endswith(f"/{ACTION_MASK}")


def info_has_mask(env: gymnasium.Env) -> bool:
    """Whether the info of a first reset has a mask."""
    with suppress(*CRASHES):  # it may fail by chance, and is told of when it is sampled
        _, info = env.reset(seed=0)
        return info.get(ACTION_MASK) is not None
    return False


class MaskInInfo(gymnasium.Wrapper):
    """An environment whose info has the mask that was a part of its observations, as PettingZoo's,
    or that its method `action_masks` returns, as sb3-contrib's."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        space = env.observation_space
        self.source = ""
        if isinstance(space, Dict) and ACTION_MASK in space.spaces:
            self.source = OBSERVATION
            parts = {name: part for name, part in space.spaces.items() if name != ACTION_MASK}
            if not parts:
                raise ValueError(f"Its observations have nothing but {ACTION_MASK}.")
            self.observation_space = Dict(parts)
        elif env.has_wrapper_attr(METHOD):
            self.source = METHOD

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._told(observation, info)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        observation, info = self._told(observation, info, terminated or truncated)
        return observation, reward, terminated, truncated, info

    def _told(
        self, observation: Any, info: dict[str, Any], over: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        if self.source == METHOD:
            try:
                mask = self.env.get_wrapper_attr(METHOD)()
            except CRASHES as failure:
                if over:  # no action follows
                    return observation, info
                raise ValueError(
                    f"its {METHOD}() cannot be asked: {type(failure).__name__}: {failure}"
                ) from failure
            return observation, info | {ACTION_MASK: mask}
        parts = dict(observation)
        return parts, info | {ACTION_MASK: parts.pop(ACTION_MASK)}


class Unmasked(gymnasium.Wrapper):
    """An environment without a mask in its first reset: a later one is an error, because agents
    could not read it any more."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = self.env.reset(seed=seed, options=options)
        refuse_mask(info)
        return observation, info

    def step(self, action: Any) -> Any:
        result = self.env.step(action)
        refuse_mask(result[-1])
        return result


def refuse_mask(info: Any) -> None:
    """Raises ValueError where an info has a mask."""
    if isinstance(info, dict) and info.get(ACTION_MASK) is not None:
        raise ValueError(f"its info has an {ACTION_MASK}, which its first reset had not")


class MaskInObservation(gymnasium.Wrapper):
    """An environment with discrete actions whose info has a mask, which becomes a part of the
    observation: a Box (A,) from 0 to 1, in the dtype of the rest.

    `options` are how many options each choice had from which the actions were made: a mask may be
    of the actions, or of the options of each choice, one after the other."""

    def __init__(self, env: gymnasium.Env, options: list[int]) -> None:
        super().__init__(env)
        assert isinstance(env.action_space, Discrete)
        self.options = options
        self.number = int(env.action_space.n)
        seen = env.observation_space
        parts = dict(seen.spaces) if isinstance(seen, Dict) else {OBSERVATION: seen}
        dtypes = {part.dtype for part in parts.values()}
        dtype: Any = dtypes.pop() if len(dtypes) == 1 else np.dtype(np.uint8)
        self.mask_space = Box(0, 1, (self.number,), dtype.type)
        self.observation_space = Dict(parts | {ACTION_MASK: self.mask_space})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        observation, info = reset_result(self.env.reset(seed=seed, options=options), keep)
        return self._with_mask(observation, info, over=False), info

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = step_result(self.env.step(action), keep)
        over = terminated or truncated
        return self._with_mask(observation, info, over), reward, terminated, truncated, info

    def _with_mask(self, observation: Any, info: dict[str, Any], over: bool) -> dict[str, Any]:
        parts = dict(observation) if isinstance(observation, dict) else {OBSERVATION: observation}
        return parts | {ACTION_MASK: self._mask(info, over).astype(self.mask_space.dtype)}

    def _mask(self, info: dict[str, Any], over: bool) -> NDArray[np.bool_]:
        """The mask of the actions (A,). At the end of an episode, where no action follows, it may be
        missing, or allow none."""
        told = info.get(ACTION_MASK)
        if told is None and not over:
            raise ValueError(f"its info has no {ACTION_MASK}, which it had before")
        mask = np.ones(self.number, np.bool_) if told is None else of_actions(told, self.options)
        if not mask.any() and not over:
            raise ValueError(f"its {ACTION_MASK} leaves no action possible")
        return mask


def keep(observation: Any) -> Any:
    """The observation as it is."""
    return observation


def of_actions(mask: NDArray, options: list[int]) -> NDArray[np.bool_]:
    """A mask of all actions, which are the combinations of so many options of each choice. Of
    several choices, a mask as long as all their options is of these, one choice after the other, as
    sb3-contrib has it: an action is possible where all its options are.

    Raises ValueError for a mask of another length."""
    mask = np.asarray(mask) != 0
    number = math.prod(options)
    if len(options) > 1 and mask.shape == (sum(options),):
        of_choices = np.split(mask, np.cumsum(options)[:-1])
        return reduce(np.logical_and.outer, of_choices).ravel()
    if mask.shape != (number,):
        raise ValueError(
            f"its {ACTION_MASK} has the shape {mask.shape}, and there are {number} actions"
        )
    return mask
