"""PyBullet without its chatter."""

import os
import signal

import gymnasium
import numpy as np
import pytest

from envs.robots.simulation import import_quietly, quiet, vectorised


def test_what_c_writes_is_kept_from_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with quiet():
        os.write(1, b"chatter\n")
    print("after")
    assert capfd.readouterr().out == "before\nafter\n"


def test_output_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), quiet():
        raise RuntimeError
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_a_missing_module_is_told_with_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"no_such_module.*praxis-rl\[robots\]") as refusal:
        import_quietly("no_such_module")
    assert "\n" not in str(refusal.value)


def test_an_interrupt_stops_whoever_steps_and_not_the_environments() -> None:
    env = vectorised(lambda: gymnasium.make("Pendulum-v1"), 2, parallel=True)
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    env.reset(seed=1)
    for process in env.processes:
        os.kill(process.pid, signal.SIGINT)
    for _ in range(20):
        observations, *_ = env.step(np.zeros((2, 1), np.float32))
    assert observations.shape == (2, 3)
    env.close()
