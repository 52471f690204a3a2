"""What the environment's reward is worth to the learner."""

import numpy as np

from agents.settings.environment_reward import EnvironmentReward

EARNED = np.array([[0.0, -7.0], [200.0, 0.25], [-0.5, 1.0]], np.float32)


def test_the_environments_own_reward_is_passed_on_unchanged() -> None:
    assert EnvironmentReward().of_environment(EARNED).tolist() == EARNED.tolist()


def test_clipping_leaves_the_sign_alone() -> None:
    reward = EnvironmentReward(clip_to_sign=True).of_environment(EARNED)
    assert reward.tolist() == [[0, -1], [1, 1], [-1, 1]]
    assert reward.dtype == np.float32


def test_clipping_leaves_the_true_rewards_alone() -> None:
    before = EARNED.copy()
    EnvironmentReward(clip_to_sign=True).of_environment(EARNED)
    np.testing.assert_array_equal(EARNED, before)
