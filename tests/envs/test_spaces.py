"""Spaces of other people's environments, as agents see them, and back."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    Graph,
    MultiBinary,
    MultiDiscrete,
    Sequence,
    Space,
    Text,
    Tuple,
)
from hypothesis import given

from envs.spaces import StandardSpaces, standard, standard_action, standard_observation
from tests.envs.odd_environments import OddEnv, habits

VECTOR = Box(-1, 1, (3,), np.float32)
IMAGE = Box(0, 255, (40, 50, 3), np.uint8)
GOAL = Box(-1, 1, (2,), np.float64)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (VECTOR, VECTOR),
        (Box(-9, 9, (2, 3), np.float16), Box(-9, 9, (6,), np.float16)),
        (Box(-9, 9, (), np.float64), Box(-9, 9, (1,), np.float64)),
        (Box(0, 255, (128,), np.uint8), Box(0, 1, (128,), np.float32)),
        (Box(0, 20, (7, 7, 3), np.uint8), Box(0, 1, (147,), np.float32)),
        (IMAGE, Box(0, 255, (3, 40, 50), np.uint8)),
        (Box(0, 255, (3, 40, 50), np.uint8), Box(0, 255, (3, 40, 50), np.uint8)),
        (Box(0, 1, (40, 50, 3), np.float32), Box(0, 1, (3, 40, 50), np.float32)),
        (Box(0, 255, (84, 84), np.uint8), Box(0, 255, (1, 84, 84), np.uint8)),
        (Box(0, 255, (4, 84, 84, 3), np.uint8), Box(0, 255, (12, 84, 84), np.uint8)),
        (Box(-9, 9, (40, 50, 3), np.float32), Box(-9, 9, (6000,), np.float32)),
        (Discrete(4, start=3), Box(0, 1, (4,), np.float32)),
        (MultiDiscrete([2, 3], start=[1, 5]), Box(0, 1, (5,), np.float32)),
        (MultiBinary((2, 2)), Box(0, 1, (4,), np.float32)),
        (Tuple((Discrete(2), VECTOR)), None),
        (Dict(a=VECTOR, b=Dict(c=Discrete(2))), None),
        (Dict(a=VECTOR, b=Box(0, 1, (0,))), VECTOR),
        (Dict(a=IMAGE), Box(0, 255, (3, 40, 50), np.uint8)),
        (
            Dict(camera=IMAGE, b=Dict(c=Discrete(2))),
            Dict(
                {"camera": Box(0, 255, (3, 40, 50), np.uint8), "b/c": Box(0, 1, (2,), np.float32)}
            ),
        ),
        (
            Tuple((IMAGE, VECTOR)),
            Dict({"0": Box(0, 255, (3, 40, 50), np.uint8), "1": VECTOR}),
        ),
        (
            Dict(observation=VECTOR, achieved_goal=GOAL, desired_goal=GOAL),
            Dict(observation=Box(-1, 1, (3,), np.float64), achieved_goal=GOAL, desired_goal=GOAL),
        ),
    ],
    ids=str,
)
def test_observations_become_a_box_or_the_parts_that_encoders_read(
    space: Space, expected: Space | None
) -> None:
    conversion = standard_observation(space)
    if expected is not None:
        assert conversion.space == expected
    space.seed(0)
    assert conversion.space.contains(conversion.convert(space.sample()))


def test_each_number_of_an_observation_has_its_place() -> None:
    space = Dict(a=Box(-9, 9, (2, 1), np.float32), b=Tuple((Discrete(3, start=5), MultiBinary(2))))
    seen = {"a": np.array([[1.5], [2.5]], np.float32), "b": (6, np.array([0, 1], np.int8))}
    assert standard_observation(space).convert(seen).tolist() == [1.5, 2.5, 0, 1, 0, 0, 1]
    stack = np.arange(4 * 40 * 41 * 3).reshape(4, 40, 41, 3).astype(np.uint8)
    shown = standard_observation(Box(0, 255, stack.shape, np.uint8)).convert(stack)
    for frame in range(4):
        for channel in range(3):
            np.testing.assert_array_equal(shown[3 * frame + channel], stack[frame, :, :, channel])


@pytest.mark.parametrize(
    "space",
    [
        Box(0, 1, (0,)),
        Dict(a=Box(0, 1, (0,))),
        Text(3),
        Sequence(Discrete(2)),
        Graph(VECTOR, None),
        Dict(a=VECTOR, b=Text(3)),
        Discrete(10**9),
        Dict({"a/b": VECTOR, "a": Dict(b=VECTOR)}),
        Dict(observation=Dict(a=IMAGE, b=VECTOR), achieved_goal=GOAL, desired_goal=GOAL),
    ],
    ids=str,
)
def test_observations_that_cannot_be_read_are_refused_in_one_line(space: Space) -> None:
    with pytest.raises(ValueError, match=r"bservations|Two parts") as refusal:
        standard_observation(space)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Discrete(3), Discrete(3)),
        (Discrete(3, start=-1), Discrete(3)),
        (VECTOR, VECTOR),
        (Box(-1, 1, (2, 3), np.float64), Box(-1, 1, (6,), np.float64)),
        (Box(0, 1, ()), Box(0, 1, (1,))),
        (MultiDiscrete([3, 4], start=[1, 2]), Discrete(12)),
        (MultiDiscrete([[2, 2], [2, 3]]), Discrete(24)),
        (MultiBinary(3), Discrete(8)),
        (Box(-1, 2, (2,), np.int64), Discrete(16)),
        (Dict(a=Discrete(2), b=Tuple((Discrete(3), MultiBinary(2)))), Discrete(24)),
        (
            Dict(a=VECTOR, b=Box(0, 2, (2, 2))),
            Box(np.repeat([-1.0, 0], [3, 4]), np.repeat([1.0, 2], [3, 4])),
        ),
    ],
    ids=str,
)
def test_actions_become_one_choice_or_one_vector(space: Space, expected: Space) -> None:
    conversion = standard_action(space)
    assert (type(conversion.space), conversion.space.shape) == (type(expected), expected.shape)
    if isinstance(expected, Discrete):
        assert conversion.space == expected
        taken = [conversion.convert(np.int64(action)) for action in range(int(expected.n))]
        assert all(space.contains(action) for action in taken)
        assert len({repr(action) for action in taken}) == expected.n
    else:
        assert all(space.contains(conversion.convert(conversion.space.sample())) for _ in range(5))


@pytest.mark.parametrize(
    "space",
    [
        MultiDiscrete([50, 50, 50]),
        MultiBinary(20),
        Dict(a=VECTOR, b=Discrete(2)),
        Box(0, 1, (0,)),
        Text(3),
    ],
    ids=str,
)
def test_actions_that_cannot_be_chosen_are_refused_in_one_line(space: Space) -> None:
    with pytest.raises(ValueError, match="actions") as refusal:
        standard_action(space)
    assert "\n" not in str(refusal.value)


@given(odd=habits())
def test_a_converted_environment_shows_what_happened(odd: Any) -> None:
    inner = OddEnv(odd)
    env = StandardSpaces(inner)
    space = inner.observation_space
    convert = standard_observation(space).convert
    seen = [env.reset(seed=0)[0]]
    for _ in range(4):
        observation, reward, terminated, truncated, _ = env.step(np.zeros(2, np.float32))
        seen.append(observation)
        true = inner.happened[-1]
        assert (reward, terminated, truncated) == (true.reward, true.terminated, true.truncated)
        if terminated or truncated:
            seen.append(env.reset()[0])
    for shown, true in zip(seen, inner.happened, strict=True):
        assert env.observation_space.contains(shown)
        expected = convert(true.observation)
        for name in expected if isinstance(expected, dict) else [...]:
            np.testing.assert_array_equal(shown[name], expected[name])


def test_an_environment_that_agents_understand_is_left_as_it_is() -> None:
    env = gymnasium.make("CartPole-v1")
    assert standard(env) is env


def test_more_integers_than_64_bits_count_are_refused() -> None:
    with pytest.raises(ValueError, match="18,446,744,073,709,551,616 combinations"):
        standard_action(Box(0, 2**64 - 1, (1,), np.uint64))
