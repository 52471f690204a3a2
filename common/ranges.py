"""Number types with a range, and the check that a settings class keeps to them.

A settings class declares `width: Size = 64` and calls `check_ranges(self)` in `__post_init__` or
where it is validated.
"""

from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

MAX_SHOWN = 10**30
"""Whole numbers from here on are not written out in messages."""


@dataclass(frozen=True)
class Range:
    """An interval of numbers, written `Annotated[int, Range(1, 5)]`; for an int, of its whole
    numbers."""

    low: float
    high: float
    includes_low: bool = True
    includes_high: bool = True
    reason: str = ""
    """Why numbers beyond it are refused, which messages say in brackets."""

    def __contains__(self, number: float) -> bool:
        above = self.low <= number if self.includes_low else self.low < number
        below = number <= self.high if self.includes_high else number < self.high
        return above and below

    def __str__(self) -> str:
        if self.includes_low and self.includes_high:
            return f"from {shown(self.low)} to {shown(self.high)}"
        lower = "at least" if self.includes_low else "above"
        upper = "at most" if self.includes_high else "below"
        return f"{lower} {shown(self.low)} and {upper} {shown(self.high)}"


Size = Annotated[int, Range(1, 2**20)]
"""A number of elements that are in memory at once, such as the width of a layer or the examples of
a batch."""
SizeOrZero = Annotated[int, Range(0, 2**20)]
"""A size, where 0 has a meaning of its own."""
Count = Annotated[int, Range(1, 1_000)]
"""A small number of parts or repetitions, such as layers or epochs."""
CountOrZero = Annotated[int, Range(0, 1_000)]
"""A count, where 0 has a meaning of its own."""
Steps = Annotated[int, Range(1, 10**12)]
"""A number of steps, episodes or records over the whole run."""
StepsOrZero = Annotated[int, Range(0, 10**12)]
"""A number of steps, where 0 has a meaning of its own."""
EpisodeSteps = Annotated[int, Range(-1, 2**31 - 1)]
"""The most steps of an episode; -1 keeps the environment's own limit."""
Seed = Annotated[int, Range(0, 2**32 - 1)]
"""A seed, as NumPy takes it."""
Fraction = Annotated[float, Range(0.0, 1.0)]
"""A fraction or a probability."""
FractionBelowOne = Annotated[float, Range(0.0, 1.0, includes_high=False)]
"""A fraction other than 1."""
PositiveFraction = Annotated[float, Range(0.0, 1.0, includes_low=False)]
"""A fraction other than 0."""
Positive = Annotated[float, Range(0.0, 1e9, includes_low=False)]
"""A positive quantity."""
NonNegative = Annotated[float, Range(0.0, 1e9)]
"""A quantity that may be 0."""


class OutOfRange(ValueError):
    """A number in `settings` that is outside the range of its field."""

    def __init__(self, settings: object, message: str) -> None:
        super().__init__(message)
        self.settings = settings


@dataclass(frozen=True)
class Allowed:
    """The numbers that a field takes."""

    range: Range
    whole: bool
    optional: bool
    """Whether None is allowed, too."""

    def includes(self, number: Any) -> bool:
        """Whether a field takes this value: a number of its kind in its range, or None where that
        is allowed."""
        if number is None:
            return self.optional
        return is_number(number, whole=self.whole) and number in self.range

    def __str__(self) -> str:
        reason = f" ({self.range.reason})" if self.range.reason else ""
        return f"a {'whole ' if self.whole else ''}number {self.range}{reason}"


def check_ranges(settings: object, flag: str = "") -> None:
    """Raises OutOfRange, in one line, for a number in a settings class that is outside the range of
    its field.

    The message begins with the field's name; with `flag` it is the option of the command line, such
    as --num-envs for the flag "--"."""
    for name, allowed in allowed_numbers(type(settings)).items():
        value = getattr(settings, name)
        several = isinstance(value, tuple)
        for number in value if several else (value,):
            if not allowed.includes(number):
                option = f"{flag}{name.replace('_', '-')}" if flag else name
                must = "must each be" if several else "must be"
                raise OutOfRange(settings, f"{option} {must} {allowed}, not {shown(number)}.")


@cache
def allowed_numbers(settings: type) -> dict[str, Allowed]:
    """The numbers that each field of a settings class with a range takes, by name."""
    found = {
        name: allowed_by(hint)
        for name, hint in get_type_hints(settings, include_extras=True).items()
    }
    return {name: allowed for name, allowed in found.items() if allowed is not None}


def allowed_by(hint: Any) -> Allowed | None:
    """The numbers that a type allows: one with a range, such a type or None, or a tuple of such."""
    for note in getattr(hint, "__metadata__", ()):
        if isinstance(note, Range):
            return Allowed(note, whole=hint.__origin__ is int, optional=False)
    parts = get_args(hint)
    for allowed in filter(None, map(allowed_by, parts)):
        return Allowed(allowed.range, allowed.whole, optional=NoneType in parts)
    return None


def shown(number: Any) -> str:
    """A number with its thousands apart, in a few characters whatever its size."""
    if not is_number(number):
        return repr(number)[:40]
    if is_number(number, whole=True):
        return f"{number:,}" if abs(number) < MAX_SHOWN else "a number of more than 30 digits"
    return f"{number:,.12g}" if abs(number) < 1e15 else f"{number:g}"


def is_number(value: Any, whole: bool = False) -> bool:
    """Whether a value is a number, or a whole number of an integer type; booleans, which Python
    counts as such, are not."""
    return isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
