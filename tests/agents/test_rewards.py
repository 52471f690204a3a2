"""What the learner is rewarded for."""

import numpy as np

from agents.interfaces import Experience
from agents.rewards import EnvironmentReward

EARNED = [[0.0, -7.0], [200.0, 0.25], [-0.5, 1.0]]


def experience_of(rewards: list[list[float]]) -> Experience:
    zeros, flags = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.bool_)
    return Experience(zeros, zeros, np.array(rewards, np.float32), flags, flags, flags)


def test_the_environments_own_reward_is_passed_on_unchanged() -> None:
    assert EnvironmentReward().reward(experience_of(EARNED)).tolist() == EARNED


def test_clipping_leaves_the_sign_alone() -> None:
    reward = EnvironmentReward(clip_to_sign=True).reward(experience_of(EARNED))
    assert reward.tolist() == [[0, -1], [1, 1], [-1, 1]]
    assert reward.dtype == np.float32


def test_clipping_leaves_the_true_rewards_alone() -> None:
    experience = experience_of(EARNED)
    EnvironmentReward(clip_to_sign=True).reward(experience)
    assert experience.rewards.tolist() == EARNED
