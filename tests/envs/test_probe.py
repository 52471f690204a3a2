"""The probes: valid environments whose every number is known."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from envs.probe import CountingConfig, TargetConfig

CONFIGS = pytest.mark.parametrize(
    "config", [CountingConfig(), TargetConfig()], ids=lambda config: config.name
)


@CONFIGS
def test_gymnasiums_own_check_passes(config: CountingConfig | TargetConfig) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it is not registered, and has no spec
        check_env(config.build(), skip_render_check=True)


@CONFIGS
def test_vectors_reset_in_the_same_step(config: CountingConfig | TargetConfig) -> None:
    vector = config.build_vector(3)
    assert vector.num_envs == 3
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert vector.single_observation_space == config.build().observation_space
    assert vector.single_action_space == config.build().action_space


@CONFIGS
def test_frames_are_color_images(config: CountingConfig | TargetConfig) -> None:
    env = config.build()
    env.reset(seed=0)
    frame = env.render()
    assert isinstance(frame, np.ndarray)
    assert frame.ndim == 3
    assert frame.shape[2] == 3
    assert frame.dtype == np.uint8


def episode(env: gymnasium.Env) -> tuple[list[list[float]], list[float], bool, bool]:
    """Observations, rewards and the two kinds of end of one episode."""
    observation, _ = env.reset()
    seen, rewards = [observation.tolist()], []
    while True:
        observation, reward, terminated, truncated, _ = env.step(0)
        seen.append(observation.tolist())
        rewards.append(float(reward))
        if terminated or truncated:
            return seen, rewards, terminated, truncated


def test_counting_counts_and_ends_by_turns() -> None:
    env = CountingConfig(length=3).build()
    assert episode(env) == ([[0, 0], [0, 1], [0, 2], [0, 3]], [1, 2, 3], True, False)
    assert episode(env) == ([[1, 0], [1, 1], [1, 2], [1, 3]], [1, 2, 3], False, True)
    assert episode(env)[2:] == (True, False)


def test_a_counting_vector_starts_the_next_episode_in_the_same_step() -> None:
    vector = CountingConfig(length=2).build_vector(2)
    vector.reset(seed=0)
    vector.step(np.zeros(2, np.int64))
    observations, rewards, terminated, truncated, info = vector.step(np.zeros(2, np.int64))
    assert observations.tolist() == [[1, 0], [1, 0]]
    assert np.stack(info["final_obs"]).tolist() == [[0, 2], [0, 2]]
    assert rewards.tolist() == [2, 2]
    assert terminated.tolist() == [True, True]
    assert truncated.tolist() == [False, False]


def test_the_right_answer_to_the_target_earns_ten() -> None:
    env = TargetConfig().build()
    observation, _ = env.reset(seed=3)
    total, steps, done = 0.0, 0, False
    while not done:
        observation, reward, done, _, info = env.step(observation)
        assert info["is_success"]
        total, steps = total + float(reward), steps + 1
    assert (total, steps) == (10.0, 10)


def test_a_wrong_answer_costs_its_distance() -> None:
    env = TargetConfig().build()
    observation, _ = env.reset(seed=3)
    number = float(observation[0])
    _, reward, _, _, info = env.step(np.array([number - 0.25], np.float32))
    assert reward == pytest.approx(0.75)
    assert not info["is_success"]


def test_random_answers_earn_what_the_reference_says() -> None:
    # Two uniform numbers in [-1, 1] lie 2/3 apart on average: 1/3 a step, ten steps.
    env, rng = TargetConfig().build(), np.random.default_rng(0)
    returns = []
    for i in range(300):
        env.reset(seed=i)
        returns.append(sum(float(env.step(rng.uniform(-1, 1, 1))[1]) for _ in range(10)))
    assert np.mean(returns) == pytest.approx(10 / 3, abs=4 * np.std(returns) / 300**0.5)
    assert TargetConfig().reference_scores["random"] == pytest.approx(10 / 3, abs=0.05)
