"""Ranges of settings: which numbers a field takes, and what is said of all others."""

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ranges import Fraction, Range, Size, SizeOrZero, check_ranges


@dataclass(frozen=True)
class Example:
    width: Size = 8
    sizes: tuple[Size, ...] = (8,)
    share: Fraction = 0.5
    cores: Annotated[float, Range(0.0, 64.0, includes_low=False)] | None = None
    beam_width: Annotated[int, Range(1, 100, reason="more find nothing better")] = 4
    name: str = "example"
    fast: bool = True


@dataclass(frozen=True)
class Layer:
    width: SizeOrZero


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width must be a whole number from 1 to 1,048,576, not 0."),
        (
            {"width": 10**10},
            "width must be a whole number from 1 to 1,048,576, not 10,000,000,000.",
        ),
        (
            {"width": 10**400},
            "width must be a whole number from 1 to 1,048,576, not a number of more than 30 "
            "digits.",
        ),
        ({"width": True}, "width must be a whole number from 1 to 1,048,576, not True."),
        ({"width": 2.0}, "width must be a whole number from 1 to 1,048,576, not 2."),
        ({"width": None}, "width must be a whole number from 1 to 1,048,576, not None."),
        (
            {"width": "x" * 99},
            f"width must be a whole number from 1 to 1,048,576, not '{'x' * 39}.",
        ),
        ({"sizes": (8, 0)}, "sizes must each be a whole number from 1 to 1,048,576, not 0."),
        ({"share": 1.5}, "share must be a number from 0 to 1, not 1.5."),
        ({"share": float("nan")}, "share must be a number from 0 to 1, not nan."),
        ({"share": float("-inf")}, "share must be a number from 0 to 1, not -inf."),
        ({"share": 1e300}, "share must be a number from 0 to 1, not 1e+300."),
        ({"share": False}, "share must be a number from 0 to 1, not False."),
        ({"cores": 0.0}, "cores must be a number above 0 and at most 64, not 0."),
        (
            {"beam_width": 101},
            "beam_width must be a whole number from 1 to 100 (more find nothing better), not 101.",
        ),
    ],
)
def test_a_number_out_of_its_range_is_told_in_one_line(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 its whole text is compared
        check_ranges(Example(**changes))
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"width": 1},
        {"width": 2**20},
        {"sizes": ()},
        {"share": 0},
        {"share": 1},
        {"cores": None},
        {"cores": 64.0},
    ],
)
def test_numbers_within_their_range_pass_up_to_both_ends(changes: dict[str, Any]) -> None:
    check_ranges(Example(**changes))


def test_a_flag_turns_the_name_into_an_option() -> None:
    with pytest.raises(ValueError, match=r"^--algo\.beam-width must be"):
        check_ranges(Example(beam_width=0), "--algo.")


@given(number=st.integers() | st.floats())
def test_a_size_is_every_whole_number_that_counts_elements(number: float) -> None:
    if isinstance(number, int) and number in range(2**20 + 1):
        check_ranges(Layer(number))
    else:
        with pytest.raises(ValueError, match=r"^width must be .*\.$"):
            check_ranges(Layer(number))  # pyright: ignore[reportArgumentType]
