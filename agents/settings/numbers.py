"""Numbers that no setting can be, whatever its own range: not finite, or larger than any machine counts."""

import math
from dataclasses import fields, is_dataclass
from typing import Any

LARGEST = 2**63


def check_numbers(settings: Any, flag: str = "--") -> None:
    """Raises ValueError, in one line, for a number in a settings class, or in one that it holds, which is not finite or
    has 64 bits; `flag` is how the command line names the class."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        name = f"{flag}{field.name.replace('_', '-')}"
        if is_dataclass(value) and not isinstance(value, type):
            check_numbers(value, f"{name}.")
            continue
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{name} must be a finite number, not {number}.")
            if isinstance(number, int) and not -LARGEST < number < LARGEST:
                raise ValueError(f"{name} must be below 2^63, not {number:.3g}.")
