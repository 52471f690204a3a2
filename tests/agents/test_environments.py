"""Environments that are closed: whatever they raise then is nobody's concern."""

import gc

import gymnasium
import pytest

from agents.environments import all_environments, built_vector, close, opened
from agents.interfaces import EnvironmentFailure
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


def test_an_environment_that_ends_the_program_has_failed() -> None:
    with pytest.raises(EnvironmentFailure, match="SystemExit: 0"), all_environments():
        raise SystemExit(0)


def test_a_vector_that_cannot_be_closed_is_not_closed_again_when_it_is_forgotten() -> None:
    Unclosable.closed = 0
    vector = built_vector(UnclosableConfig(length=3), 2)
    close(vector)
    before = Unclosable.closed
    del vector
    gc.collect()
    assert Unclosable.closed == before
