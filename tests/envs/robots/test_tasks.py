"""Every robot by its plain name: checkers, time limits, goals, films, processes."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_sb3

from envs.robots import locomotion, panda
from envs.robots.locomotion import LocomotionConfig
from envs.robots.panda import PandaConfig
from scripts.recipes import ROBOTS, environment_named

ALL = [
    *(LocomotionConfig(name) for name in locomotion.RANDOM_RETURNS),
    *(PandaConfig(task) for task in panda.RANDOM_RETURNS),
]


@pytest.mark.parametrize("config", ALL, ids=lambda config: config.name)
@pytest.mark.filterwarnings("ignore:.*(Box.*infinity|symmetric|flatten|1D array|precision).*")
def test_both_checkers_pass(config) -> None:
    env = config.build()
    check_env(env, skip_render_check=True)
    check_for_sb3(env)
    env.close()


@pytest.mark.parametrize(
    "name", ["HalfCheetah", "half-cheetah", "hopper", "PandaReach", "panda-pick-and-place"]
)
def test_robots_are_known_by_their_plain_names(name: str) -> None:
    config = environment_named(name)
    assert config in ROBOTS.values()
    assert config.name.lower() == name.replace("-", "").lower()


def test_a_misspelt_robot_is_told_with_near_ones() -> None:
    with pytest.raises(ValueError, match=r"'HalfCheeta'.*HalfCheetah"):
        environment_named("HalfCheeta")
    with pytest.raises(ValueError, match=r"no robot 'Cat'.*HalfCheetah"):
        LocomotionConfig("Cat")
    with pytest.raises(ValueError, match=r"no Panda task 'Jump'.*Reach"):
        PandaConfig("Jump")
    with pytest.raises(ValueError, match="max_episode_steps"):
        LocomotionConfig("Ant", max_episode_steps=0)


def last_step(env: gymnasium.Env, action: np.ndarray) -> tuple[int, bool, bool]:
    env.reset(seed=1)
    for steps in range(1, 2_000):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            return steps, terminated, truncated
    raise AssertionError("no end")


def test_time_truncates_and_does_not_terminate() -> None:
    cheetah = LocomotionConfig("HalfCheetah", max_episode_steps=50).build()
    assert last_step(cheetah, np.zeros(6, np.float32)) == (50, False, True)
    reach = PandaConfig("Reach").build()
    assert last_step(reach, np.zeros(3, np.float32)) == (50, False, True)


def test_an_arm_that_has_reached_its_goal_goes_on_and_is_rewarded() -> None:
    env = PandaConfig("Reach").build()
    observation, _ = env.reset(seed=3)
    rewards, successes = [], []
    for _ in range(50):
        towards = 20 * (observation["desired_goal"] - observation["achieved_goal"])
        observation, reward, terminated, _, info = env.step(
            np.clip(towards, -1, 1).astype(np.float32)
        )
        assert not terminated
        rewards.append(reward)
        successes.append(bool(info["is_success"]))
    assert rewards[0] == -1.0
    assert not successes[0]
    assert successes[-1]
    assert rewards == [0.0 if success else -1.0 for success in successes]


def test_what_another_goal_would_have_brought_can_be_asked_for_many_at_once() -> None:
    compute_reward = PandaConfig("Reach").build().unwrapped.compute_reward  # pyright: ignore
    achieved, desired = (
        np.zeros((3, 3), np.float32),
        np.array([[0, 0, 0.04], [0, 0, 0.06], [1, 0, 0]], np.float32),
    )
    assert compute_reward(achieved, desired, {}).tolist() == [0.0, -1.0, -1.0]  # nearer than 5 cm


@pytest.mark.parametrize("parallel", [False, True])
def test_robots_in_step_reset_in_the_same_step_and_keep_what_they_ended_in(parallel: bool) -> None:
    env = PandaConfig("Reach", parallel=parallel).build_vector(2)
    first, _ = env.reset(seed=5)
    for _ in range(50):
        observations, _, terminated, truncated, info = env.step(np.ones((2, 3), np.float32))
    assert truncated.all()
    assert not terminated.any()
    final = info["final_obs"][1]["achieved_goal"]
    assert np.linalg.norm(final - first["achieved_goal"][1]) > 0.05
    assert not np.array_equal(final, observations["achieved_goal"][1])
    assert info["final_info"]["is_success"].shape == (2,)
    env.close()


@pytest.mark.parametrize(
    "config", [LocomotionConfig("Hopper"), PandaConfig("Push")], ids=lambda config: config.name
)
def test_films_show_something_that_moves(config) -> None:
    env = config.build()
    env.reset(seed=1)
    before = np.asarray(env.render())
    for _ in range(20):
        env.step(env.action_space.sample())
    after = np.asarray(env.render())
    assert before.shape == (240, 320, 3)
    assert before.dtype == np.uint8
    assert len(np.unique(before)) > 20
    assert (before != after).any()


def test_the_same_seed_is_the_same_episode() -> None:
    def episode() -> np.ndarray:
        env = LocomotionConfig("Hopper").build()
        seen = [env.reset(seed=7)[0]]
        actions = np.random.default_rng(0).uniform(-1, 1, (20, 3)).astype(np.float32)
        seen += [env.step(action)[0] for action in actions]
        env.close()
        return np.stack(seen)

    np.testing.assert_array_equal(episode(), episode())
