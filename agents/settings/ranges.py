"""Settings outside their range, told in one line."""

from typing import Any


def require_above(settings: Any, bound: float, *names: str) -> None:
    """Raises ValueError unless each of these fields is a number above `bound`."""
    for name in names:
        if not bound < getattr(settings, name) < float("inf"):
            raise ValueError(f"{name} must be a number above {bound:g}, not {getattr(settings, name)}.")


def require_within(settings: Any, low: float, high: float, *names: str) -> None:
    """Raises ValueError unless each of these fields lies in [low, high], and is finite."""
    for name in names:
        value = getattr(settings, name)
        if not low <= value <= high or value == float("inf"):
            upper = "" if high == float("inf") else f" and at most {high:g}"
            raise ValueError(f"{name} must be at least {low:g}{upper}, not {value}.")
