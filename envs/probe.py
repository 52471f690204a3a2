"""Tiny environments with a known answer, for tests: a learner that is right solves each in
seconds."""

import time
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import VectorEnv

from common.info import ACTION_MASK, IS_SUCCESS
from common.ranges import Range, Steps, check_ranges
from envs.masks import standard_with_mask
from envs.vector import vectorized


class CountingEnv(gymnasium.Env):
    """Observes (episode number, step number); the reward is the step number.

    Episodes end after `length` steps, terminated in even episodes, truncated in odd ones, so that
    every border that a rollout can meet is met, and every number in it is known in advance.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_space = Box(0, 1e6, (2,), np.float32)
    action_space = Discrete(2)

    def __init__(self, length: int) -> None:
        self.length = length
        self.episode = -1
        self.clock = 0
        self.render_mode = "rgb_array"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.episode = 0 if seed is not None else self.episode + 1
        self.clock = 0
        return self._observation(), {}

    def step(self, action: Any):
        self.clock += 1
        done = self.clock == self.length
        even = self.episode % 2 == 0
        return self._observation(), float(self.clock), done and even, done and not even, {}

    def render(self):
        return np.full((16, 16, 3), min(255, 8 * self.clock), np.uint8)

    def _observation(self):
        return np.array([self.episode, self.clock], np.float32)


class FlawedEnv(CountingEnv):
    """Counts, and fails in its `fails_at`th step since it was built, as `flaw` says."""

    def __init__(self, length: int, flaw: str, fails_at: int) -> None:
        super().__init__(length)
        self.flaw = flaw
        self.until_flaw = fails_at

    def step(self, action: Any):
        observation, reward, terminated, truncated, info = super().step(action)
        self.until_flaw -= 1
        if self.until_flaw:
            return observation, reward, terminated, truncated, info
        match self.flaw:
            case "raises":
                raise RuntimeError("the flaw")
            case "hangs":
                time.sleep(3600)
            case "observation":
                observation[0] = np.nan
            case "reward":
                reward = np.nan
        return observation, reward, terminated, truncated, info


class TargetEnv(gymnasium.Env):
    """Observes a number in [-1, 1] and is rewarded for answering with the number of [low, high] at
    the same place: 1 - |action - answer| / half_range.

    Ten answers an episode, so a perfect policy's return is 10, a random one's about 3, and 0 is
    what the lowest answer brings every time.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_space = Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        self.render_mode = "rgb_array"
        self.action_space = Box(low, high, (1,), np.float32)
        self.center = (low + high) / 2
        self.half_range = (high - low) / 2

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.clock = 0
        return self._draw(), {}

    def step(self, action: Any):
        self.clock += 1
        answer = self.center + self.half_range * float(self.target[0])
        reward = 1.0 - abs(float(action[0]) - answer) / self.half_range
        observation = self._draw()
        return observation, reward, self.clock == 10, False, {IS_SUCCESS: reward > 0.8}

    def render(self):
        return np.full((16, 16, 3), int(127 * (1 + self.target[0])), np.uint8)

    def _draw(self):
        self.target = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.target


class ChoiceEnv(gymnasium.Env):
    """Observes one of four signs and is rewarded with 1 for the action of the same number.

    Ten answers an episode, so a perfect policy's return is 10 and a random one's 2.5.
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_space = Box(0.0, 1.0, (4,), np.float32)
    action_space = Discrete(4)

    def __init__(self) -> None:
        self.render_mode = "rgb_array"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.clock = 0
        return self._draw(), {}

    def step(self, action: Any):
        self.clock += 1
        reward = float(action == self.sign)
        return self._draw(), reward, self.clock == 10, False, {}

    def render(self):
        return np.full((16, 16, 3), 64 * self.sign, np.uint8)

    def _draw(self):
        self.sign = int(self.np_random.integers(4))
        return np.eye(4, dtype=np.float32)[self.sign]


class KeysEnv(gymnasium.Env):
    """Has twenty keys, of which two that chance draws are there at a step; its mask says which. A
    sign says whether the one with the lower number opens the door, for a reward of 1, or the other.

    A key that is not there is an error. Ten doors an episode, so that a perfect policy's return is
    10, and 5 that of one that takes either key."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_space = Dict(
        {
            "keys": Box(0.0, 1.0, (20,), np.float32),
            "sign": Box(0.0, 1.0, (2,), np.float32),
            ACTION_MASK: Box(0, 1, (20,), np.int8),
        }
    )
    action_space = Discrete(20)

    def __init__(self) -> None:
        self.render_mode = "rgb_array"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.clock = 0
        return self._draw(), {}

    def step(self, action: Any):
        if action not in self.keys:
            raise RuntimeError(f"key {action} is not there")
        self.clock += 1
        reward = float(action == self.keys[self.sign])
        return self._draw(), reward, self.clock == 10, False, {}

    def render(self):
        return np.full((16, 16, 3), 12 * self.keys[self.sign], np.uint8)

    def _draw(self):
        self.keys = np.sort(self.np_random.choice(20, 2, replace=False))
        self.sign = int(self.np_random.integers(2))
        there = np.zeros(20, np.float32)
        there[self.keys] = 1
        sign = np.eye(2, dtype=np.float32)[self.sign]
        return {"keys": there, "sign": sign, ACTION_MASK: there.astype(np.int8)}


class RecallEnv(gymnasium.Env):
    """Shows one of two signs, then nothing, and asks after `delay` steps which one it was: 1 for
    the right answer.

    Without a memory no policy does better than 0.5."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_space = Box(0.0, 1.0, (3,), np.float32)
    action_space = Discrete(2)

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self.render_mode = "rgb_array"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.clock, self.sign = 0, int(self.np_random.integers(2))
        return np.eye(3, dtype=np.float32)[self.sign], {}

    def step(self, action: Any):
        self.clock += 1
        over = self.clock > self.delay
        right = over and action == self.sign
        asked = self.clock == self.delay
        observation = np.array([0.0, 0.0, asked], np.float32)
        return observation, float(right), over, False, {IS_SUCCESS: right}

    def render(self):
        return np.full((16, 16, 3), 255 * self.sign if self.clock == 0 else 127, np.uint8)


@dataclass(frozen=True)
class CountingConfig:
    """Every border of an episode in known numbers."""

    length: Steps = 5
    """Steps an episode."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "probe-counting"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return CountingEnv(self.length)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


@dataclass(frozen=True)
class FlawedConfig:
    """What an environment can do wrong."""

    length: Steps = 5
    """Steps an episode."""
    flaw: Literal["raises", "hangs", "observation", "reward"] = "raises"
    """How a step fails: by an error, by never ending, or by a number that is none."""
    fails_at: Steps = 8
    """Which step since the environment was built."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "probe-flawed"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return FlawedEnv(self.length, self.flaw, self.fails_at)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


@dataclass(frozen=True)
class TargetConfig:
    """A continuous task without memory: answer with the number that is shown, in the units of the
    action."""

    low: Annotated[float, Range(-1e9, 1e9)] = -1.0
    """The least action."""
    high: Annotated[float, Range(-1e9, 1e9)] = 1.0
    """The largest action."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.low >= self.high:
            raise ValueError(f"low must be a number below high, not {self.low} and {self.high}.")

    @property
    def name(self) -> str:
        return "probe-target"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {"random": 3.3}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return TargetEnv(self.low, self.high)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


@dataclass(frozen=True)
class ChoiceConfig:
    """A discrete task without memory: answer with the number of the sign that is shown."""

    @property
    def name(self) -> str:
        return "probe-choice"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {"random": 2.5}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return ChoiceEnv()

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


@dataclass(frozen=True)
class KeysConfig:
    """A discrete task without memory in which few actions are possible, as a mask says."""

    @property
    def name(self) -> str:
        return "probe-keys"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {"random": 5.0}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return standard_with_mask(KeysEnv())

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


@dataclass(frozen=True)
class RecallConfig:
    """A discrete task that needs a memory: answer with a sign that was shown before."""

    delay: Steps = 4
    """Steps from the sign to the question."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "probe-recall"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {"random": 0.5}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return RecallEnv(self.delay)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)
