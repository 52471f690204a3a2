"""Environments that fail, and what becomes of those beside them."""

import multiprocessing
import os
import signal
import time
from typing import Any

import gymnasium
import numpy as np
import pytest

from common.info import ENVIRONMENT_FAULT
from envs.probe import CountingEnv, FlawedEnv
from envs.vector import Restarting, vectorized


def flawed(flaw: str, fails_at: int = 3, length: int = 10) -> Restarting:
    return Restarting(lambda: FlawedEnv(length, flaw, fails_at), longest_step_seconds=0.2)


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ("raises", "RuntimeError: the flaw"),
        ("hangs", "TimeoutError: it took longer than 0.2 s"),
        ("observation", "FloatingPointError: its observation had nan, which is not finite"),
        ("reward", "FloatingPointError: its reward was nan"),
    ],
)
def test_a_step_that_fails_cuts_the_episode_and_the_next_one_is_a_new_environments(
    flaw: str, reason: str
) -> None:
    env = flawed(flaw)
    env.reset(seed=1)
    before, seen = env.env, [env.step(0)[0].tolist() for _ in range(2)]
    observation, reward, terminated, truncated, info = env.step(0)
    assert observation.tolist() == seen[-1] == [0.0, 2.0]
    assert (reward, terminated, truncated, info) == (0.0, False, True, {ENVIRONMENT_FAULT: reason})
    env.reset()
    assert env.env is not before
    assert env.step(0)[4] == {}


def test_a_last_observation_is_kept_where_the_environment_writes_all_into_one_array() -> None:
    class OneArray(FlawedEnv):
        page = np.zeros(2, np.float32)

        def _observation(self) -> Any:
            self.page[:] = super()._observation()
            return self.page

    env = Restarting(lambda: OneArray(10, "observation", 3), 1.0)
    env.reset(seed=1)
    env.step(0), env.step(0)
    assert env.step(0)[0].tolist() == [0.0, 2.0]


def test_an_environment_that_exits_in_its_reset_is_built_again() -> None:
    class Exits(CountingEnv):
        resets = 0

        def reset(self, **given: Any) -> Any:
            type(self).resets += 1
            if type(self).resets == 2:
                raise SystemExit("enough")
            return super().reset(**given)

    env = Restarting(lambda: Exits(10), 1.0)
    env.reset(seed=1)
    _, info = env.reset()
    assert info == {ENVIRONMENT_FAULT: "SystemExit: enough"}


def test_environments_whose_spaces_differ_from_one_to_the_next_are_refused() -> None:
    lengths = iter((2, 3))

    def build() -> gymnasium.Env:
        env = CountingEnv(length=5)
        env.observation_space = gymnasium.spaces.Box(0.0, 1.0, (next(lengths),))
        return env

    with pytest.raises(ValueError, match="its spaces differ"):
        vectorized(build, 2)


def test_neighbors_go_on() -> None:
    builders = iter([lambda: FlawedEnv(10, "raises", 3), *[lambda: CountingEnv(10)] * 9])
    env = vectorized(lambda: next(builders)(), 2)
    env.reset(seed=1)
    for _ in range(2):
        env.step(np.zeros(2, int))
    observations, rewards, _, truncated, info = env.step(np.zeros(2, int))
    assert truncated.tolist() == [True, False]
    assert rewards.tolist() == [0.0, 3.0]
    assert observations[1].tolist() == [0.0, 3.0]
    assert info["final_obs"][0].tolist() == [0.0, 2.0]
    assert info["final_info"][ENVIRONMENT_FAULT][0] == "RuntimeError: the flaw"
    observations, rewards, _, truncated, info = env.step(np.zeros(2, int))
    assert (rewards.tolist(), truncated.any(), ENVIRONMENT_FAULT in info) == (
        [1.0, 4.0],
        False,
        False,
    )


class UnwillingEnv(CountingEnv):
    """Does not reset after its first episode; the one that is built in its place does not reset at
    all, if asked so."""

    left = 1

    def __init__(self, for_ever: bool) -> None:
        super().__init__(2)
        self.resets = type(self).left
        if for_ever:
            type(self).left = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.resets -= 1
        if self.resets < 0:
            raise OSError("no such\nscene")
        return super().reset(seed=seed, options=options)


def test_a_reset_that_fails_is_tried_with_a_new_environment_and_told_of() -> None:
    env = Restarting(lambda: UnwillingEnv(for_ever=False), 1.0)
    env.reset(seed=1)
    observation, info = env.reset()
    assert observation.tolist() == [0.0, 0.0]
    assert info == {ENVIRONMENT_FAULT: "OSError: no such scene"}
    assert env.step(0)[4] == {}


def test_two_resets_that_fail_in_a_row_are_an_error() -> None:
    env = Restarting(lambda: UnwillingEnv(for_ever=True), 1.0)
    env.reset(seed=1)
    with pytest.raises(OSError, match="no such"):
        env.reset()


def test_what_follows_a_failure_is_the_same_for_the_same_seed() -> None:
    class Fragile(gymnasium.Wrapper):
        steps = 0

        def step(self, action: Any) -> Any:
            self.steps += 1
            if self.steps == 3:
                raise RuntimeError
            return super().step(action)

    def history(seed: int) -> list[float]:
        env = Restarting(lambda: Fragile(gymnasium.make("CartPole-v1")), 1.0)
        env.reset(seed=seed)
        for _ in range(3):
            env.step(0)
        return env.reset()[0].tolist()

    assert history(1) == history(1) != history(2)


def test_a_process_that_hangs_outside_of_python_is_told_of_and_can_be_closed() -> None:
    env = vectorized(
        lambda: gymnasium.make("Pendulum-v1"), 2, parallel=True, longest_step_seconds=0.25
    )
    env.reset(seed=1)
    os.kill(env.processes[0].pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(multiprocessing.TimeoutError):
        env.step(np.zeros((2, 1), np.float32))
    env.close()
    assert time.monotonic() - started < 10


def test_an_interrupt_stops_whoever_steps_and_not_the_environments() -> None:
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # whoever runs the tests may ignore it
    env = vectorized(lambda: gymnasium.make("Pendulum-v1"), 2, parallel=True)
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    env.reset(seed=1)
    for process in env.processes:
        os.kill(process.pid, signal.SIGINT)
    for _ in range(20):
        observations, *_ = env.step(np.zeros((2, 1), np.float32))
    assert observations.shape == (2, 3)
    env.close()


def test_an_environment_that_exits_is_built_again() -> None:
    class Exits(CountingEnv):
        def step(self, action: Any) -> Any:
            raise SystemExit(0)

    vector = vectorized(lambda: Exits(5), 1)
    vector.reset(seed=1)
    *_, info = vector.step(np.zeros(1, np.int64))
    assert "SystemExit" in str(info)
