"""What an environment returns: numbers that networks cannot read are told, with the number."""

import numpy as np
import pytest
from gymnasium.spaces import Box

from envs.returned import FEW, finite_number, reader


@pytest.mark.parametrize("size", [3, FEW + 1])
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (np.nan, "had nan, which is not finite"),
        (-np.inf, "had -inf, which is not finite"),
        (1e39, r"had 1e\+39, which float32 cannot hold"),
    ],
)
def test_a_number_that_float32_cannot_hold_is_told(size: int, number: float, reason: str) -> None:
    read = reader(Box(-np.inf, np.inf, (size,), np.float64))
    observation = np.full(size, 3e38)
    assert read(observation).tolist() == observation.tolist()
    observation[1] = number
    with pytest.raises(FloatingPointError, match=reason):
        read(observation)


def test_the_largest_half_is_finite() -> None:
    largest = np.full(FEW + 1, np.finfo(np.float16).max)
    assert (
        reader(Box(-np.inf, np.inf, largest.shape, np.float16))(largest).tolist()
        == largest.tolist()
    )


def test_a_mask_is_not_dropped() -> None:
    read = reader(Box(-1.0, 1.0, (2,), np.float32))
    assert read(np.ma.masked_array([0.5, 1.0], mask=False)).tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="masked"):
        read(np.ma.masked_array([0.5, 1e20], mask=[False, True]))


@pytest.mark.parametrize("reward", [1e39, -np.inf, np.float16("nan")])
def test_a_reward_that_float32_cannot_hold_is_told(reward: float) -> None:
    with pytest.raises(FloatingPointError, match="its reward was"):
        finite_number("reward", reward)
