"""Continuous actions in a policy's units and in the environment's."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from agents.networks.action_scaling import ActionScaling

FLOATS = st.sampled_from([np.float16, np.float32, np.float64])


@st.composite
def boxes(draw: st.DrawFn, widest: float = float("inf")) -> Box:
    """Boxes of one to four numbers, with or without bounds on each side."""
    dtype = np.dtype(draw(FLOATS))
    most = min(widest, float(np.finfo(dtype).max))
    size = draw(st.integers(1, 4))
    numbers = st.floats(-most, most, width=dtype.itemsize * 8) if np.isfinite(most) else st.floats()
    ends = draw(arrays.arrays(dtype, (2, size), elements=numbers))
    low, high = ends.min(0), ends.max(0)
    if widest == float("inf"):
        low[draw(arrays.arrays(np.bool_, size))] = -np.inf
        high[draw(arrays.arrays(np.bool_, size))] = np.inf
    return Box(low, high, dtype=dtype.type)


def vectors(size: int) -> st.SearchStrategy[NDArray]:
    return arrays.arrays(
        np.float32, (3, size), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )


@given(st.data(), boxes())
def test_whatever_a_policy_says_is_sent_within_the_box(data: st.DataObject, box: Box) -> None:
    actions = data.draw(vectors(box.shape[0]))
    sent = ActionScaling(box).to_environment(actions)
    assert all(box.contains(action) for action in sent)
    assert np.isfinite(sent).all()


@given(st.data(), boxes(widest=1e4))
def test_the_way_back_is_the_inverse_to_float_precision(data: st.DataObject, box: Box) -> None:
    elements = st.floats(-1, 1, width=32)
    actions = data.draw(arrays.arrays(np.float32, (3, box.shape[0]), elements=elements))
    scaling = ActionScaling(box)
    back = scaling.to_policy(scaling.to_environment(actions))
    # What is sent is a number of the Box's dtype: their distance is largest at the larger bound.
    step = np.spacing(np.maximum(abs(box.low), abs(box.high))).astype(np.float64)
    half = scaling.half_range
    moves = half > 0
    assert not back[:, ~moves].any()
    allowed = 1e-6 + 2 * step[moves] / half[moves]
    assert (abs(back - actions)[:, moves] <= allowed).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_box_from_minus_one_to_one_gets_the_policys_own_numbers_clipped(dtype: type) -> None:
    actions = np.array([[0.30000001, -1e-9, 1.0], [1.7, -2.0, -1.0]], np.float32)
    sent = ActionScaling(Box(-1.0, 1.0, (3,), dtype)).to_environment(actions)
    np.testing.assert_array_equal(sent, np.clip(actions, -1, 1).astype(dtype))
    assert sent.dtype == dtype


def test_two_bounds_are_at_minus_one_and_one() -> None:
    box = Box(np.array([50.0, -0.9], np.float32), np.array([150.0, 0.3], np.float32))
    actions = np.array([[-1.0, -1.0], [0.0, 0.0], [0.5, 0.5], [1.0, 1.0], [3.0, 3.0]], np.float32)
    wanted = [[50.0, -0.9], [100.0, -0.3], [125.0, 0.0], [150.0, 0.3], [150.0, 0.3]]
    scaling = ActionScaling(box)
    np.testing.assert_allclose(scaling.to_environment(actions), wanted, atol=1e-7)
    np.testing.assert_allclose(scaling.to_policy(np.array([[75.0, 0.0]])), [[-0.5, 0.5]], atol=1e-6)


def test_the_upper_bound_is_not_passed_by_rounding() -> None:
    # In float32 arithmetic -0.9 + (1 + 1) / 2 * (0.3 + 0.9) is 0.30000007, above the bound.
    for dtype in (np.float32, np.float64):
        box = Box(-0.9, 0.3, (1,), dtype)
        assert box.contains(ActionScaling(box).to_environment(np.ones((1, 1), np.float32))[0])


def test_one_bound_is_at_one_unit_and_none_moves_nothing() -> None:
    box = Box(np.array([50.0, -np.inf, -np.inf]), np.array([np.inf, 7.0, np.inf]), dtype=np.float64)
    actions = np.array([[-1.0, 1.0, 0.0], [0.0, 0.0, 123.0], [-9.0, 9.0, -123.0]], np.float32)
    wanted = [[50.0, 7.0, 0.0], [51.0, 6.0, 123.0], [50.0, 7.0, -123.0]]
    np.testing.assert_array_equal(ActionScaling(box).to_environment(actions), wanted)


def test_a_bound_that_is_the_dtypes_largest_number_is_none() -> None:
    for largest, dtype in (
        (np.finfo(np.float32).max, np.float32),
        (np.finfo(np.float32).max, np.float64),
    ):
        scaling = ActionScaling(Box(-largest, largest, (1,), dtype))
        assert scaling.to_environment(np.array([[0.25]], np.float32)).item() == 0.25


def test_a_box_of_one_number_gets_it() -> None:
    scaling = ActionScaling(Box(np.array([3.0, 0.0]), np.array([3.0, 1.0]), dtype=np.float64))
    assert scaling.to_environment(np.array([[0.7, 0.0]], np.float32)).tolist() == [[3.0, 0.5]]
    assert scaling.to_policy(np.array([[3.0, 0.75]])).tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize(("earlier", "sent"), [("clipped", 50.0), ("scaled", 125.0)])
def test_a_state_saved_without_a_scaling_means_what_it_meant(earlier: str, sent: float) -> None:
    scaling = ActionScaling(Box(50.0, 150.0, (1,), np.float32), earlier=earlier)
    scaling.load_state_dict({})
    assert scaling.to_environment(np.array([[0.5]], np.float32)).item() == sent


def test_a_saved_scaling_is_loaded_again() -> None:
    saved = ActionScaling(Box(50.0, 150.0, (2,), np.float64))
    clipped = ActionScaling(Box(50.0, 150.0, (2,), np.float64), earlier="clipped")
    clipped.load_state_dict({})
    clipped.load_state_dict(saved.state_dict())
    np.testing.assert_array_equal(
        clipped.to_environment(np.zeros((1, 2), np.float32)), [[100.0, 100.0]]
    )


def test_a_scaling_of_other_actions_is_refused() -> None:
    saved = ActionScaling(Box(-1.0, 1.0, (3,), np.float32)).state_dict()
    with pytest.raises(ValueError, match="not one of 2 actions"):
        ActionScaling(Box(-1.0, 1.0, (2,), np.float32)).load_state_dict(saved)


def test_the_state_is_a_float64_tensor() -> None:
    [state] = ActionScaling(Box(50.0, 150.0, (1,), np.float32)).state_dict().values()
    assert state.dtype == torch.float64
    assert state.tolist() == [[100.0], [50.0]]
