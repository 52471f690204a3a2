"""Registered environments by id: what becomes a vector, and how a mistake is told."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

from envs.atari import games as atari
from envs.classic import ClassicConfig, ids


def test_a_numbered_state_becomes_a_vector_with_a_single_one() -> None:
    env = ClassicConfig("FrozenLake-v1").build()
    assert isinstance(env.observation_space, Box)
    assert env.observation_space.shape == (16,)
    observation, _ = env.reset(seed=0)
    rng = np.random.default_rng(0)
    visited = set()
    for _ in range(200):
        state = env.unwrapped.s  # type: ignore[attr-defined]
        assert observation.tolist() == [float(n == state) for n in range(16)]
        visited.add(state)
        observation, _, terminated, truncated, _ = env.step(int(rng.integers(4)))
        if terminated or truncated:
            observation, _ = env.reset()
    assert len(visited) > 5


def test_a_tuple_of_numbers_becomes_a_vector_with_a_one_for_each() -> None:
    env = ClassicConfig("Blackjack-v1").build()
    observation, _ = env.reset(seed=0)
    assert env.observation_space.shape == (32 + 11 + 2,)
    assert observation.shape == (45,)
    assert observation.sum() == 3
    assert observation[:32].sum() == observation[32:43].sum() == observation[43:].sum() == 1


def test_a_vector_stays_as_it_is() -> None:
    ours, theirs = ClassicConfig("CartPole-v1").build(), gymnasium.make("CartPole-v1")
    assert ours.observation_space == theirs.observation_space
    np.testing.assert_array_equal(ours.reset(seed=4)[0], theirs.reset(seed=4)[0])


def test_a_vector_of_environments_steps_like_single_ones() -> None:
    vector = ClassicConfig("FrozenLake-v1").build_vector(2)
    singles = [ClassicConfig("FrozenLake-v1").build() for _ in range(2)]
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    observations, _ = vector.reset(seed=5)
    expected = [env.reset(seed=5 + n)[0] for n, env in enumerate(singles)]
    rng = np.random.default_rng(0)
    for _ in range(30):
        np.testing.assert_array_equal(observations, expected)
        actions = rng.integers(4, size=2)
        observations, rewards, *_ = vector.step(actions)
        for n, env in enumerate(singles):
            expected[n], reward, terminated, truncated, _ = env.step(actions[n])
            assert rewards[n] == reward
            if terminated or truncated:
                expected[n], _ = env.reset()


@pytest.mark.parametrize(("limit", "steps"), [(3, 3), (-1, 200)])
def test_the_step_limit_truncates(limit: int, steps: int) -> None:
    env = ClassicConfig("MountainCar-v0", max_episode_steps=limit).build()  # registered with 200
    env.reset(seed=0)
    ends = [env.step(1)[2:4] for _ in range(steps)]
    assert ends == [(False, False)] * (steps - 1) + [(False, True)]


def test_frames_are_drawn_without_a_screen() -> None:
    env = ClassicConfig("CartPole-v1").build()
    env.reset(seed=0)
    frame = env.render()
    assert isinstance(frame, np.ndarray)
    assert frame.dtype == np.uint8
    assert frame.shape[2] == 3
    assert frame.std() > 0


def test_the_name_is_the_id_without_its_namespace() -> None:
    assert ClassicConfig("CartPole-v1").name == "CartPole-v1"
    assert ClassicConfig("phys2d/CartPole-v1").name == "CartPole-v1"


def test_an_unknown_id_is_told_with_near_matches() -> None:
    with pytest.raises(ValueError, match=r"no environment 'CartPol-v1'.*CartPole-v1"):
        ClassicConfig("CartPol-v1").build()


def test_an_unknown_id_with_nothing_near_is_told_alone() -> None:
    with pytest.raises(ValueError, match=r"^There is no environment 'xyzzy'\.$"):
        ClassicConfig("xyzzy").build()


def test_a_missing_dependency_is_told_in_one_line() -> None:
    name = "tests/Unbuildable-v0"
    gymnasium.register(name, entry_point="no_such_module_at_all:Env")
    try:
        with pytest.raises(
            ValueError, match=r"cannot be made here.*no_such_module_at_all"
        ) as refusal:
            ClassicConfig(name).build()
    finally:
        del gymnasium.registry[name]
    assert "\n" not in str(refusal.value)


def is_atari(name: str) -> bool:
    return str(gymnasium.spec(name).entry_point).startswith("ale_py")


def test_every_id_beside_atari_can_be_made_or_is_refused_in_one_line() -> None:
    made, refusals = set(), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (i for i in ids() if not is_atari(i)):
            try:
                ClassicConfig(name).build().close()
                made.add(name)
            except ValueError as refusal:
                refusals[name] = str(refusal)
    assert {"CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1", "Taxi-v3"} <= made
    assert [said for said in refusals.values() if "\n" in said] == []


def test_ids_hold_no_atari_game_in_any_of_its_old_spellings() -> None:
    atari.display_names()  # registers the games, as naming an environment does
    assert [name for name in ids() if is_atari(name)][:5] == []
