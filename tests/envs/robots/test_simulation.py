"""PyBullet without its chatter."""

import os

import pytest

from envs.robots.simulation import import_quietly, quiet


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
