"""Observations whose differences float32 would lose are told of once."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.engine.algorithm import space_of_raw_observations
from agents.engine.config import build_network
from agents.networks.packing import Packing
from agents.networks.rounding import OBSERVATIONS, RoundingCheck
from agents.training.train import train
from scripts.recipes import recipe_named
from tests.agents.tiny_runs import ClockConfig

NUMBERS = Box(-1e12, 1e12, (2,), np.float64)


def observed(low: float, high: float, dtype: type = np.float64) -> np.ndarray:
    """1,000 steps of one environment; the second column lies in this range."""
    column = np.linspace(low, high, OBSERVATIONS)
    return np.stack([np.linspace(-1, 1, OBSERVATIONS), column], 1).astype(dtype)[:, None]


@pytest.mark.parametrize(
    ("low", "high", "spacing"),
    [
        (1.7e9, 1.7e9 + 20, "128"),  # the mantissa of 2^30..2^31 has steps of 2^7
        (-1.7e9 - 20, -1.7e9, "128"),
        (1e6, 1e6 + 50, "0.0625"),  # 800 numbers
    ],
)
def test_ranges_with_few_float32_numbers_are_told_of(low: float, high: float, spacing: str) -> None:
    told = RoundingCheck(NUMBERS).warning(observed(low, high))
    assert f"float32 numbers are {spacing} apart" in told
    assert told.startswith("observation[1] was between")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (1e6, 1e6 + 70),  # 1,120 numbers
        (1.7e9, 1.7e9),  # a constant has no differences
        (0.0, 1.7e9),
        (1.0, 1.0 + 1e-5),  # too little for a network to see
    ],
)
def test_other_ranges_are_not(low: float, high: float) -> None:
    assert RoundingCheck(NUMBERS).warning(observed(low, high)) == ""


def test_float32_and_normalized_observations_are_not_looked_at() -> None:
    assert (
        RoundingCheck(Box(-1e12, 1e12, (2,), np.float32)).warning(
            observed(1.7e9, 1.7e9 + 600, np.float32)
        )
        == ""
    )
    assert RoundingCheck(None).warning(observed(1.7e9, 1.7e9 + 20)) == ""


def test_it_is_said_once_and_of_many_rollouts() -> None:
    """In a rollout of four steps nearly every column has a small range."""
    check = RoundingCheck(NUMBERS)
    steps = observed(1.7e9, 1.7e9 + 20)
    told = [check.warning(steps[start : start + 4]) for start in range(0, 1_000, 4)]
    assert [bool(line) for line in told] == [False] * 249 + [True]
    assert check.warning(steps) == ""


def test_parts_are_named() -> None:
    space = Dict(
        {"clock": Box(0, 1e12, (1,), np.float64), "camera": Box(0, 255, (1, 2, 2), np.uint8)}
    )
    seconds = 1.7e9 + np.linspace(0, 20, OBSERVATIONS)[:, None]
    packed = Packing(space).pack(
        {"clock": seconds, "camera": np.zeros((OBSERVATIONS, 1, 2, 2), np.uint8)}
    )
    assert RoundingCheck(space).warning(packed[:, None]).startswith("clock[0] was between")


class SecondsEnv(gymnasium.Env):
    """Observes the time of the day as Unix has it."""

    observation_space = Box(0, 1e12, (1,), np.float64)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.clock = 0
        return np.array([1.7e9]), {}

    def step(self, action):
        self.clock += 1
        return np.array([1.7e9 + self.clock]), 1.0, False, self.clock == 20, {}


@dataclass(frozen=True)
class SecondsConfig(ClockConfig):
    name: str = "seconds"

    def build(self):
        return SecondsEnv()

    def build_vector(self, num_envs):
        return SyncVectorEnv([SecondsEnv] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def test_a_run_says_it_once(tmp_path, capsys) -> None:
    base = recipe_named("ppo")(SecondsConfig())
    algo = replace(base.algo, rollout_length=128, minibatch_size=256, epochs=1)
    experiment = replace(
        base,
        algo=algo,
        num_envs=4,
        total_env_steps=2_048,
        evaluate_every_env_steps=0,
        run_dir=str(tmp_path / "run"),
    )
    train(experiment)
    assert capsys.readouterr().out.count("float32 numbers are 128 apart") == 1


def test_networks_that_normalize_observations_lose_nothing() -> None:
    base = recipe_named("ppo")(SecondsConfig())
    networks = [
        build_network(replace(base, algo=replace(base.algo, normalize_observations=n)))
        for n in (False, True)
    ]
    spaces = [
        space_of_raw_observations(SimpleNamespace(bare_network=network)) for network in networks
    ]
    assert spaces == [SecondsEnv.observation_space, None]
