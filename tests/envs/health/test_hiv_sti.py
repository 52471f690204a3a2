"""HIV against another integrator, and against what was published of it."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from agents.logged.episodes import play
from envs.health.hiv_sti import DAYS, INFECTED, INHIBITORS, PUBLISHED, HivConfig, rates, state_after

PARAMETERS = {name: np.array([value]) for name, value in PUBLISHED.items()}


def test_the_integrator_agrees_with_one_for_stiff_equations() -> None:
    state = np.array(INFECTED)[:, None]
    truth, random = state.copy(), np.random.default_rng(3)
    for _ in range(40):
        given = INHIBITORS[random.integers(4)][:, None]
        state = state_after(state, given, PARAMETERS, 5.0)

        def change(_: float, y: np.ndarray, given: np.ndarray = given) -> np.ndarray:
            return rates(y[:, None], given, PARAMETERS)[:, 0]

        truth = solve_ivp(change, (0, 5.0), truth[:, 0], method="LSODA", rtol=1e-9, atol=1e-9).y[
            :, -1:
        ]
        np.testing.assert_allclose(state, truth, rtol=1e-4)


def test_the_untreated_infection_is_steady() -> None:
    """Adams et al. 2004 give this state to the next cell."""
    state = np.array(INFECTED)[:, None]
    np.testing.assert_allclose(
        state_after(state, np.zeros((2, 1)), PARAMETERS, 100.0), state, rtol=0.02
    )


def test_the_immune_system_can_hold_the_virus_down_alone() -> None:
    """The state that Adams et al. 2004 call healthy, with a reward of 3.53e8 a step in Ernst et al.
    2006."""
    healthy = np.array([967_839.0, 621.0, 76.0, 6.0, 415.0, 353_108.0])[:, None]
    np.testing.assert_allclose(
        state_after(healthy, np.zeros((2, 1)), PARAMETERS, 100.0), healthy, rtol=0.03
    )


@pytest.mark.parametrize(
    ("baseline", "worth"),
    [("untreated", 3.43e6), ("standard of care", 7.02e6), ("2 on, 3 off", 1.955e7)],
)
def test_what_clinicians_would_do_is_worth_what_was_measured_before(
    baseline: str, worth: float
) -> None:
    """Undiscounted, over 200 steps, by another implementation of the same equations."""
    config = HivConfig()
    played = play(
        config, lambda env: config.baselines()[baseline](env.ward.simulation), episodes=1, seed=0
    )
    assert played.alive.sum() == DAYS / 5
    assert played.returns()[0] == pytest.approx(worth, rel=0.005)


def test_a_patient_evolves_among_others_as_alone() -> None:
    config = HivConfig(cohort="train")
    many = config.simulation(5)
    many.admit(np.arange(5), np.random.default_rng(0))
    alone = config.simulation(1)
    alone.admit(np.arange(1), np.random.default_rng(0))
    for name in alone.parameters:
        alone.parameters[name][:] = many.parameters[name][2]
    for actions in ([0, 1, 2, 3, 3], [3, 3, 0, 0, 1], [0, 0, 3, 1, 2]):
        many.treat(np.array(actions), np.random.default_rng(0))
        alone.treat(np.array(actions[2:3]), np.random.default_rng(0))
    np.testing.assert_allclose(many.state[:, 2], alone.state[:, 0], rtol=1e-12)
    assert many.metrics()["drug_days"][2] == alone.metrics()["drug_days"][0] == 5 + 0 + 10
