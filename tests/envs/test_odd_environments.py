"""Whatever an environment's habits, a vector of them shows what really happened in each."""

import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.info import ENVIRONMENT_FAULT
from envs.returned import INFO
from envs.vector import vectorized
from tests.envs.odd_environments import (
    SPACES,
    Habits,
    OddConfig,
    OddEnv,
    habits,
    numbered,
    with_habits,
)

NUM_ENVS = 2


def assert_same(shown: Any, happened: Any) -> None:
    if isinstance(happened, dict):
        assert shown.keys() == happened.keys()
        for name in happened:
            assert_same(shown[name], happened[name])
    elif isinstance(happened, tuple):
        for one, other in zip(shown, happened, strict=True):
            assert_same(one, other)
    else:
        assert np.asarray(shown).dtype == np.asarray(happened).dtype
        np.testing.assert_array_equal(shown, happened)


def row(observations: Any, n: int) -> Any:
    """Environment n's observation of a vector's."""
    if isinstance(observations, dict):
        return {name: row(part, n) for name, part in observations.items()}
    if isinstance(observations, tuple):
        return tuple(row(part, n) for part in observations)
    return observations[n]


@settings(max_examples=120)
@given(odd=habits(), steps=st.integers(1, 12))
@example(odd=Habits(space="dict", one_array=True, lengths=(1,)), steps=6)
@example(
    odd=Habits(space="tuple", one_array=True, dtype="wider", scalar="array", infos="reused"),
    steps=9,
)
def test_a_vector_shows_the_steps_that_happened(odd: Habits, steps: int) -> None:
    config = OddConfig(odd)
    vector = vectorized(config.build, NUM_ENVS)
    shown, kept = [vector.reset(seed=1)[0]], []
    random = np.random.default_rng(0)
    for _ in range(steps):
        actions = random.uniform(-1, 1, (NUM_ENVS, 2)).astype(np.float32)
        kept.append((actions.copy(), *vector.step(actions)))
        shown.append(kept[-1][1])
    for n, env in enumerate(config.built):
        happened = iter(env.happened)
        assert_same(row(shown[0], n), next(happened).observation)
        for actions, observations, rewards, terminated, truncated, info in kept:
            true = next(happened)
            np.testing.assert_array_equal(actions[n], true.action)
            assert (rewards[n], terminated[n], truncated[n]) == (
                true.reward,
                true.terminated,
                true.truncated,
            )
            over = true.terminated or true.truncated
            said = info["final_info"] if over and "final_info" in info else {} if over else info
            there = bool(said.get("_is_success", np.zeros(NUM_ENVS))[n])
            assert (bool(said["is_success"][n]) if there else None) == true.success
            assert ENVIRONMENT_FAULT not in info
            if over:
                assert_same(info["final_obs"][n], true.observation)
                true = next(happened)
            assert_same(row(observations, n), true.observation)
    vector.close()


def test_the_final_observation_of_an_environment_with_one_array_is_not_the_next_ones_first() -> (
    None
):
    vector = vectorized(with_habits(one_array=True, lengths=(2,)).build, 1)
    vector.reset(seed=1)
    vector.step(np.zeros((1, 2), np.float32))
    observations, *_, info = vector.step(np.zeros((1, 2), np.float32))
    assert info["final_obs"][0].tolist() == [2.0, 2.0, 2.0]
    assert observations[0].tolist() == [3.0, 3.0, 3.0]
    vector.step(np.zeros((1, 2), np.float32))
    assert info["final_obs"][0].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("space", ["vector", "dict", "tuple", "int64"])
def test_an_environment_in_a_process_of_its_own_shows_the_steps_that_happened(space: str) -> None:
    """The record is the process's, so what is shown is compared with what the same environment does
    here."""
    odd = Habits(
        space=space, one_array=True, infos="reused", dtype="wider", scalar="array", lengths=(2, 1)
    )
    vector = vectorized(OddConfig(odd).build, 1, parallel=True)
    here = OddEnv(odd)
    here.reset(seed=1)
    assert_same(row(vector.reset(seed=1)[0], 0), numbered(SPACES[space], 0))
    for _ in range(6):
        observations, rewards, terminated, truncated, info = vector.step(
            np.zeros((1, 2), np.float32)
        )
        here.step(np.zeros(2, np.float32))
        true = here.happened[-1]
        assert (rewards[0], terminated[0], truncated[0]) == (
            true.reward,
            true.terminated,
            true.truncated,
        )
        if true.terminated or true.truncated:
            assert_same(info["final_obs"][0], true.observation)
            assert info["final_info"]["episode_metrics"]["count"][0] == true.reward
            here.reset()
        assert_same(row(observations, 0), here.happened[-1].observation)
    vector.close()


class Says(gymnasium.Env):
    """Returns what it is asked to, once it has been reset."""

    observation_space = gymnasium.spaces.Box(0, 255, (2,), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, **changes: Any) -> None:
        self.result = {
            "observation": np.zeros(2, np.uint8),
            "reward": 0.0,
            "terminated": False,
            "truncated": False,
            "info": {},
        } | changes

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        return self.result.get("reset", (np.zeros(2, np.uint8), {}))

    def step(self, action: Any):
        return self.result.get("step", tuple(self.result.values()))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"observation": np.zeros(3, np.uint8)}, r"its observation has the shape \(3,\), and its "
                                                 r"space has \(2,\)"),
        ({"observation": np.zeros((1, 2), np.uint8)}, r"its observation has the shape \(1, 2\)"),
        ({"observation": np.array([1, 300])}, "its observation is int64, and its space's uint8 "
                                              "cannot hold"),
        ({"observation": np.array([1.5, 0.0])}, "its observation is float64, and its space's uint8 "
                                                "cannot hold"),
        ({"observation": np.array([-1, 0])}, "its observation is int64, and its space's uint8 "
                                             "cannot hold"),
        ({"observation": ["a", "b"]}, "its observation must be numbers"),
        ({"observation": None}, "its observation has the shape"),
        ({"reward": None}, "its reward must be a number, not NoneType None"),
        ({"reward": np.zeros(2)}, "its reward must be a number, not ndarray"),
        ({"reward": np.complex64(1 + 2j)}, "its reward must be a number, not complex64"),
        ({"reward": "3"}, "its reward must be a number, not str '3'"),
        ({"terminated": None}, "its terminated must be true or false, not NoneType None"),
        ({"truncated": np.zeros(2, bool)}, "its truncated must be true or false"),
        ({"terminated": 0.5}, "its terminated must be true or false, not float 0.5"),
        ({"info": None}, "its info must be a dict, not NoneType None"),
        ({"info": {"is_success": "yes"}}, "its is_success must be true or false, not str 'yes'"),
        ({"info": {"cost": np.nan}}, "its cost was nan"),
        ({"info": {"episode_metrics": 3}}, "its episode_metrics must be numbers by name, not int "
                                           "3"),
        ({"info": {"episode_metrics": {"a": [1, 2]}}}, r"its episode_metrics a must be a number, "
                                                       r"not list \[1, 2\]"),
        ({"step": (np.zeros(2, np.uint8), 0.0, False, {})}, "its step must return .observation, "
                                                            "reward, terminated"),
    ],
)  # fmt: skip
def test_what_an_environment_may_not_return_is_a_fault_that_is_told_in_one_line(
    changes: dict[str, Any], reason: str
) -> None:
    vector = vectorized(lambda: Says(**changes), 1)
    vector.reset(seed=1)
    *_, truncated, info = vector.step(np.zeros(1, int))
    assert truncated[0]
    fault = info["final_info"][ENVIRONMENT_FAULT][0]
    assert re.search(reason, fault)
    assert "\n" not in fault


@pytest.mark.parametrize(
    "returned", [np.zeros(2, np.uint8), (np.zeros(2, np.uint8), None), np.zeros(2), None]
)
def test_a_reset_without_an_info_is_refused_in_one_line(returned: Any) -> None:
    vector = vectorized(lambda: Says(reset=returned), 1)
    with pytest.raises(
        ValueError, match=r"^its reset must return \(observation, info\), and returned"
    ) as refusal:
        vector.reset(seed=1)
    assert "\n" not in str(refusal.value)


def test_of_numbers_that_are_integers_in_one_environment_nothing_is_cut_off_in_another() -> None:
    """gymnasium takes the type of the first environment's entry for all: 0 and 0.7 become 0 and
    0."""
    costs = iter([0, 0, 0.7, 0.7])
    vector = vectorized(lambda: Says(info={"cost": next(costs), "episode_metrics": {"way": 3}}), 2)
    vector.reset(seed=1)
    *_, info = vector.step(np.zeros(2, int))
    assert set(info["cost"].tolist()) <= {0.0, 0.7}
    assert info["cost"].dtype == np.float64


def test_of_an_info_the_keys_that_are_read_are_left() -> None:
    told = {"is_success": 1, "learning_terminated": np.bool_(True), "cost": 2, "lives": np.int8(3)}
    vector = vectorized(
        lambda: Says(info=told | {"action_mask": [1, 0], "episode_metrics": {"a": None, "b": 1}}), 1
    )
    vector.reset(seed=1)
    *_, info = vector.step(np.zeros(1, int))
    assert {name for name in info if name[0] != "_"} == set(INFO)
    assert (info["is_success"][0], info["learning_terminated"][0]) == (True, True)
    assert (info["cost"][0], info["lives"][0], info["action_mask"][0].tolist()) == (
        2.0,
        3.0,
        [1, 0],
    )
    assert info["episode_metrics"]["b"].tolist() == [1.0]
    assert "a" not in info["episode_metrics"]
