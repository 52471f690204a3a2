"""Ordinary differential equations of many patients at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

State = NDArray[np.float64]
"""(variables, N)."""


def runge_kutta_step(
    rates: Callable[[State], State], state: State, step: float | NDArray[np.float64]
) -> State:
    """The state after one step of the classic Runge-Kutta method, of fourth order; `rates` gives
    the changes by time of a state, and `step` may be another for each patient (N,)."""
    a = rates(state)
    b = rates(state + step / 2 * a)
    c = rates(state + step / 2 * b)
    d = rates(state + step * c)
    return state + step / 6 * (a + 2 * b + 2 * c + d)
