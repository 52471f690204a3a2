"""Environments that are closed: whatever they raise then is nobody's concern."""

import gymnasium
import pytest

from agents.environments import opened
from envs.probe import CountingConfig, CountingEnv


class Unclosable(CountingEnv):
    closed = 0

    def close(self) -> None:
        type(self).closed += 1
        raise RuntimeError("closed already")


class UnclosableConfig(CountingConfig):
    def build(self) -> gymnasium.Env:
        return Unclosable(self.length)


def test_an_environment_is_closed_once_though_it_raises_then() -> None:
    Unclosable.closed = 0
    with opened(UnclosableConfig(length=3)) as env:
        assert env.reset()[1] == {}
    assert Unclosable.closed == 1


def test_what_went_wrong_before_is_told_not_what_closing_raises() -> None:
    with pytest.raises(ValueError, match="the first mistake"), opened(UnclosableConfig(length=3)):
        raise ValueError("the first mistake")
