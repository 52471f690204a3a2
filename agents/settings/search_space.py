"""What a sweep draws settings from, in terms of our own; `agents.training.tune` translates it for
Ray Tune."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Uniform:
    """A number between two bounds."""

    low: float
    high: float

    def contains(self, value: object) -> bool:
        """Whether a value is an int or a float, but no boolean, between the bounds or on one."""
        return type(value) in (int, float) and self.low <= value <= self.high  # pyright: ignore[reportOperatorIssue]

    def clip(self, value: float) -> float:
        """The nearest value of the domain."""
        return float(min(max(value, self.low), self.high))


@dataclass(frozen=True)
class LogUniform(Uniform):
    """A number between two bounds whose logarithm is uniform."""


@dataclass(frozen=True)
class UniformInteger:
    """An integer from `low` to `high`, both included."""

    low: int
    high: int

    def contains(self, value: object) -> bool:
        """Whether a value is an int, but no boolean, from `low` to `high`."""
        return type(value) is int and self.low <= value <= self.high

    def clip(self, value: float) -> int:
        """The nearest value of the domain, towards zero."""
        return int(min(max(value, self.low), self.high))


@dataclass(frozen=True)
class Choice:
    """One of several values, all alike."""

    values: tuple[Any, ...]

    def contains(self, value: object) -> bool:
        """Whether a value is one of them, and of its type: JSON tells True from 1."""
        return any(type(value) is type(one) and value == one for one in self.values)

    def clip(self, value: Any) -> Any:
        """The value as it is: there is no nearest one."""
        return value


Domain = Uniform | LogUniform | UniformInteger | Choice
SearchSpace = dict[str, Domain]
"""By the name of an algorithm's setting."""
