"""The Runge-Kutta step, against a solution in closed form."""

import numpy as np
import pytest

from envs.health.core.ode import runge_kutta_step


def test_a_step_is_the_exponentials_taylor_series_to_the_fourth_power() -> None:
    rate = np.array([-1.0, -2.0])
    [after] = runge_kutta_step(lambda state: rate * state, np.ones((1, 2)), 0.5)
    x = rate * 0.5
    np.testing.assert_allclose(after, 1 + x + x**2 / 2 + x**3 / 6 + x**4 / 24, rtol=1e-15)


def test_half_a_step_has_a_sixteenth_of_the_error() -> None:
    def error(steps: int) -> float:
        state = np.ones((1, 1))
        for _ in range(steps):
            state = runge_kutta_step(lambda state: -(state**2), state, 1.0 / steps)
        return abs(state.item() - 0.5)  # 1 / (1 + t)

    assert error(20) / error(40) == pytest.approx(16, rel=0.1)


def test_each_patient_may_have_a_step_of_its_own() -> None:
    steps = np.array([0.1, 0.3])
    [after] = runge_kutta_step(lambda state: -state, np.ones((1, 2)), steps)
    apart = [runge_kutta_step(lambda state: -state, np.ones((1, 1)), step).item() for step in steps]
    np.testing.assert_allclose(after, apart, rtol=1e-15)
