"""Many environments in step, each of them built again when it fails."""

import multiprocessing
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.async_vector_env import AsyncState

from common.info import CRASHES, ENVIRONMENT_FAULT
from envs.returned import reader, reset_result, step_result

LONGEST_STEP_SECONDS = 60.0


def vectorized(
    build: Callable[[], gymnasium.Env],
    num_envs: int,
    parallel: bool = False,
    longest_step_seconds: float = LONGEST_STEP_SECONDS,
) -> VectorEnv:
    """So many environments in step, each in a process of its own if they are to run in `parallel`.

    Each is built again where it fails. One that hangs outside of Python, in a library's endless
    loop, is only noticed when it has a process of its own: `step` then raises multiprocessing's
    TimeoutError, and the vector must be built again."""

    def restarting() -> gymnasium.Env:
        return Restarting(build, longest_step_seconds)

    if not parallel:
        try:
            return SyncVectorEnv([restarting] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        except AssertionError as unequal:
            raise ValueError(
                "its spaces differ from one of its environments to another"
            ) from unequal

    def build_there() -> gymnasium.Env:
        # Ctrl-C reaches every process of the terminal. Whoever steps the vector decides when to
        # stop; it also builds one environment itself, to look at its spaces.
        if multiprocessing.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return restarting()

    # A step may be followed by building and resetting.
    return Processes([build_there] * num_envs, longest_wait_seconds=4 * longest_step_seconds)


class Restarting(gymnasium.Wrapper):
    """An environment that is built again when it fails, so that it does not end the run.

    It fails where it raises, where a step takes longer than `longest_step_seconds`, and where it
    returns what its spaces do not have or numbers that are not finite (`envs.returned`). A step
    that fails truncates the episode, with the last good observation, no reward, and the reason in
    `info`; the next reset is of a new environment. So is one after a reset that fails, whose `info`
    has the reason. What a new environment raises in its first reset is raised.

    Observations are copies, and of `info` only the keys in `envs.returned.INFO` are left."""

    copies_observations = True
    """Says to whoever keeps observations that nobody writes to them again."""

    def __init__(self, build: Callable[[], gymnasium.Env], longest_step_seconds: float) -> None:
        super().__init__(build())
        self.build = build
        self.time_limit = TimeLimit(longest_step_seconds)
        self.read = reader(self.observation_space)
        self.seeds = np.random.default_rng()
        self.broken = False
        self.last_observation: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.seeds = np.random.default_rng(seed)
        fault = {}
        if not self.broken:
            try:
                return self._reset(seed, options)
            except CRASHES as failure:
                fault = {ENVIRONMENT_FAULT: in_one_line(failure)}
        with suppress(*CRASHES), self.time_limit:
            self.env.close()
        with self.time_limit:
            self.env = self.build()
        self.broken = False
        # One that is new would else begin with a seed of chance, and what failed must not be tried
        # with the same one.
        observation, info = self._reset(int(self.seeds.integers(2**31)), options)
        return observation, info | fault

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        try:
            with self.time_limit:
                result = self.env.step(action)
            observation, reward, terminated, truncated, info = step_result(result, self.read)
        except CRASHES as failure:
            self.broken = True
            return (
                self.last_observation,
                0.0,
                False,
                True,
                {ENVIRONMENT_FAULT: in_one_line(failure)},
            )
        self.last_observation = observation
        return observation, reward, terminated, truncated, info

    def _reset(
        self, seed: int | None, options: dict[str, Any] | None
    ) -> tuple[Any, dict[str, Any]]:
        with self.time_limit:
            result = self.env.reset(seed=seed, options=options)
        self.last_observation, info = reset_result(result, self.read)
        return self.last_observation, info


class Processes(AsyncVectorEnv):
    """Environments in processes of their own; nobody waits for ever for their steps, resets and
    end."""

    def __init__(
        self, builders: list[Callable[[], gymnasium.Env]], longest_wait_seconds: float
    ) -> None:
        self.longest_wait_seconds = longest_wait_seconds
        super().__init__(builders, autoreset_mode=AutoresetMode.SAME_STEP)

    def step(self, actions: Any) -> Any:
        self.step_async(actions)
        return self.step_wait(self.longest_wait_seconds)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        self.reset_async(seed=seed, options=options)
        return self.reset_wait(self.longest_wait_seconds)

    def close_extras(self, timeout: float | None = None, terminate: bool = False) -> None:
        """They hold nothing that would have to be put away: a process that hangs is not asked, but
        killed."""
        for process in self.processes:
            process.kill()
        self._state = AsyncState.DEFAULT  # no answer is waited for
        super().close_extras(timeout, terminate=True)


class TimeLimit:
    """Raises TimeoutError within, as soon as Python is reached again; in threads but the main one
    it does nothing.

    It takes SIGALRM for itself. One for all calls, because asking the system costs as much as a
    step of CartPole."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds if threading.current_thread() is threading.main_thread() else 0.0
        if self.seconds:
            signal.signal(signal.SIGALRM, self._ring)

    def __enter__(self) -> None:
        if self.seconds:
            # And again, lest an environment goes on as if nothing had happened.
            signal.setitimer(signal.ITIMER_REAL, self.seconds, self.seconds)

    def __exit__(self, *_: object) -> None:
        if self.seconds:
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _ring(self, signum: int, frame: Any) -> None:
        raise TimeoutError(f"it took longer than {self.seconds:g} s")


def in_one_line(failure: BaseException) -> str:
    """The name of the error's type and its message, without line breaks."""
    return " ".join(f"{type(failure).__name__}: {failure}".split())
