"""Masks of actions: wherever an environment has one, it becomes a part of the observation."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from hypothesis import given
from hypothesis import strategies as st

from common.info import ACTION_MASK
from envs.classic import ClassicConfig
from envs.masks import of_actions, standard_with_mask

MASKS = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0]], np.int8)


class ToldEnv(gymnasium.Env):
    """Has three actions, and masks that are known in advance; its episodes have two steps."""

    observation_space: Any = Box(-1.0, 1.0, (2,), np.float32)
    action_space: Any = Discrete(3)
    clock = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.clock = 0
        return self.seen(), self.info()

    def step(self, action: Any) -> Any:
        self.clock += 1
        return self.seen(), 1.0, self.clock == 2, False, self.info()

    def seen(self) -> Any:
        return np.zeros(2, np.float32)

    def info(self) -> dict[str, Any]:
        return {}


class InInfo(ToldEnv):
    def info(self) -> dict[str, Any]:
        return {ACTION_MASK: MASKS[self.clock]}


class ByMethod(ToldEnv):
    def action_masks(self) -> Any:
        return MASKS[self.clock].astype(bool)


class InObservation(ToldEnv):
    observation_space = Dict(
        {"observation": Box(-1.0, 1.0, (2,), np.float32), ACTION_MASK: Box(0, 1, (3,), np.int8)}
    )

    def seen(self) -> Any:
        return {"observation": np.zeros(2, np.float32), ACTION_MASK: MASKS[self.clock]}


@pytest.mark.parametrize("kind", [InInfo, ByMethod, InObservation])
def test_a_mask_is_a_part_of_the_observation_wherever_it_was(kind: type[ToldEnv]) -> None:
    env = standard_with_mask(kind())
    assert env.observation_space == Dict(
        {
            "observation": Box(-1.0, 1.0, (2,), np.float32),
            ACTION_MASK: Box(0, 1, (3,), np.float32),
        }
    )
    seen = [env.reset(seed=1)[0], *(env.step(0)[0] for _ in range(2))]
    assert all(env.observation_space.contains(observation) for observation in seen)
    # The last one allows none: no action follows it.
    np.testing.assert_array_equal([observation[ACTION_MASK] for observation in seen], MASKS)


def test_an_image_keeps_its_dtype_beside_its_mask() -> None:
    class Image(InInfo):
        observation_space = Box(0, 255, (40, 40, 3), np.uint8)

        def seen(self) -> Any:
            return np.full((40, 40, 3), 7, np.uint8)

    env = standard_with_mask(Image())
    observation, _ = env.reset()
    assert observation["observation"].shape == (3, 40, 40)
    assert {part.dtype for part in observation.values()} == {np.dtype(np.uint8)}


def test_an_environment_without_a_mask_is_as_it_was() -> None:
    assert standard_with_mask(ToldEnv()).observation_space == ToldEnv.observation_space

    class Torque(InInfo):
        action_space = Box(-1.0, 1.0, (1,), np.float32)

    assert standard_with_mask(Torque()).observation_space == ToldEnv.observation_space


def test_a_mask_can_be_left_out() -> None:
    assert isinstance(ClassicConfig("Taxi-v3").build().observation_space, Dict)
    assert isinstance(ClassicConfig("Taxi-v3", action_mask=False).build().observation_space, Box)


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (np.ones(4), r"has the shape \(4,\), and there are 3 actions"),
        (np.zeros(3, np.int8), "leaves no action possible"),
        (None, "has no action_mask, which it had before"),
        ("all", "must say of each action"),
    ],
)
def test_a_mask_that_is_none_is_a_fault_told_in_one_line(mask: Any, told: str) -> None:
    class Wrong(InInfo):
        wrong = False

        def info(self) -> dict[str, Any]:
            return {ACTION_MASK: mask} if self.wrong else super().info()

    inner = Wrong()
    env = standard_with_mask(inner)
    inner.wrong = True
    with pytest.raises(ValueError, match=told):
        env.reset()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_an_action_is_possible_where_all_its_options_are(options: list[int], random: Any) -> None:
    """Also where there are as many options as actions, such as two choices of two."""
    of_options = [np.array([random.random() < 0.6 for _ in range(n)]) for n in options]
    joint = of_actions(np.concatenate(of_options), options)
    for action, chosen in enumerate(np.ndindex(*options)):
        assert joint[action] == all(m[c] for m, c in zip(of_options, chosen, strict=True))


def test_a_mask_that_comes_later_than_the_first_reset_is_told() -> None:
    class Late(ToldEnv):
        def info(self) -> dict[str, Any]:
            return {ACTION_MASK: MASKS[0]} if self.clock else {}

    env = standard_with_mask(Late())
    env.reset()
    with pytest.raises(ValueError, match="has an action_mask, which its first reset had not"):
        env.step(0)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({ACTION_MASK: Box(0, 1, (3,), np.int8)}, "nothing but action_mask"),
        (
            {
                "all": Dict({"seen": Box(-1, 1, (2,)), ACTION_MASK: Box(0, 1, (3,), np.int8)}),
                "more": Box(-1, 1, (2,)),
            },
            "'all/action_mask' of its observations is not read as a mask",
        ),
    ],
)
def test_a_mask_that_is_not_a_part_beside_others_is_refused(space: Any, told: str) -> None:
    class Hidden(ToldEnv):
        observation_space = Dict(space)

    with pytest.raises(ValueError, match=told):
        standard_with_mask(Hidden())


def test_a_method_that_cannot_be_asked_is_refused_in_one_line() -> None:
    class Asks(ToldEnv):
        def action_masks(self, state: Any) -> Any:
            return MASKS[0]

    with pytest.raises(ValueError, match=r"its action_masks\(\) cannot be asked: TypeError"):
        standard_with_mask(Asks()).reset()


def test_choices_are_masked_by_their_options() -> None:
    class Choices(InInfo):
        action_space = MultiDiscrete([2, 3])

        def info(self) -> dict[str, Any]:
            return {ACTION_MASK: np.array([1, 0, 1, 0, 1], np.int8)}

    observation, _ = standard_with_mask(Choices()).reset()
    np.testing.assert_array_equal(observation[ACTION_MASK], [1, 0, 1, 0, 0, 0])
