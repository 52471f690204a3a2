"""The epidemic: its equations against scipy's integrator, and the regions that are drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from envs.health.epidemic.seirah import (
    ADMISSIONS,
    HELD_OUT,
    ONSETS,
    PUBLISHED,
    E,
    H,
    R,
    S,
    after_a_day,
    epidemics,
    log_normal,
    regions,
)


def in_scipy(state, transmission, p, days):
    """A second derivation: Prague et al.'s equations as they stand in the paper, for one
    epidemic."""

    def changes(_, y):
        s, e, i, _r, a, h = y
        force = transmission * s * (i + p["unascertained"] * a) / p["people"]
        return [
            -force,
            force - e / p["latent_days"],
            p["ascertained"] * e / p["latent_days"]
            - i / p["admission_days"]
            - i / p["infectious_days"],
            (i + a) / p["infectious_days"] + h / p["hospital_days"],
            (1 - p["ascertained"]) * e / p["latent_days"] - a / p["infectious_days"],
            i / p["admission_days"] - h / p["hospital_days"],
        ]

    return solve_ivp(changes, (0, days), state[:6], method="LSODA", rtol=1e-10, atol=1e-8).y[:, -1]


@pytest.mark.parametrize(("effect", "days"), [(1.0, 100), (0.2, 60)])
def test_the_integrator_agrees_with_scipys(effect, days):
    p, state = epidemics("published")
    expected = in_scipy(
        state[:, 0], 2.23261 * effect, {name: values[0] for name, values in p.items()}, days
    )
    for _ in range(days):
        state = after_a_day(state, effect * p["transmission"], p)
    np.testing.assert_allclose(state[:6, 0], expected, rtol=2e-4)


def test_nobody_is_lost_and_counts_only_grow():
    p, state = epidemics("held-out", 50)
    for _ in range(100):
        after = after_a_day(state, p["transmission"], p)
        assert (after[[R, ONSETS, ADMISSIONS]] >= state[[R, ONSETS, ADMISSIONS]]).all()
        assert (after >= 0).all()
        state = after
    np.testing.assert_allclose(state[:6].sum(0), p["people"], rtol=1e-12)


def test_everyone_who_is_admitted_lies_in_hospital_or_was_discharged():
    p, state = epidemics("published")
    p = p | {"hospital_days": np.array([1e12])}
    beds = state[H].copy()
    for _ in range(50):
        state = after_a_day(state, p["transmission"], p)
    np.testing.assert_allclose(state[H] - beds, state[ADMISSIONS], rtol=1e-9)


def test_prague_et_als_reproduction_number():
    """They estimate 2.81 in all France before the lockdown, and a fall by 76 % in it."""
    p, _ = epidemics("published")
    infectious = 1 / (1 / p["admission_days"] + 1 / p["infectious_days"])
    number = p["transmission"] * (
        p["ascertained"] * infectious
        + (1 - p["ascertained"]) * p["unascertained"] * p["infectious_days"]
    )
    assert number == pytest.approx(2.81, abs=0.1)
    assert 1 - np.exp(p["week4"]) == pytest.approx(0.76, abs=0.02)


def test_cohorts_are_of_other_regions_and_the_shifted_one_of_a_variant():
    table = regions()
    people = {
        cohort: set(epidemics(cohort)[0]["people"])
        for cohort in ("published", "train", "held-out", "shifted")
    }
    assert people["published"] == {table[PUBLISHED]["people"]}
    assert people["held-out"] == people["shifted"] == {table[name]["people"] for name in HELD_OUT}
    assert len(people["train"]) == len(table) - len(HELD_OUT) - 1
    assert not people["train"] & (people["held-out"] | people["published"])
    held_out, shifted = (
        epidemics(cohort)[0]["transmission"].mean() for cohort in ("held-out", "shifted")
    )
    assert shifted == pytest.approx(1.5 * held_out, rel=1e-3)


def test_epidemics_are_drawn_as_uncertain_as_the_estimates():
    p, state = epidemics("train", 20_000)
    assert p["infectious_days"].mean() == pytest.approx(2.3, rel=0.01)
    assert p["infectious_days"].std() == pytest.approx(0.23, rel=0.03)
    normandie = p["people"] == regions()["Normandie"]["people"]
    assert p["week1"][normandie].std() == pytest.approx(0.0457, rel=0.1)
    # Three weeks without anything done: up to exp(0.183 * 20) times as many exposed.
    assert state[E][normandie].max() > 10 * state[E][normandie].min()
    assert (state[S] > 0.9 * p["people"]).mean() > 0.99


@given(st.floats(1, 1e4), st.floats(0.01, 0.5))
def test_log_normal_has_the_mean_and_the_deviation(mean, share):
    drawn = log_normal(mean, share * mean, np.random.default_rng(0).standard_normal(100_000))
    assert drawn.mean() == pytest.approx(mean, rel=0.02)
    assert drawn.std() == pytest.approx(share * mean, rel=0.05)


def test_one_alone_evolves_as_among_many():
    p, state = epidemics("train", 100)
    many = state
    alone, own = state[:, [7]], {name: values[[7]] for name, values in p.items()}
    for _ in range(30):
        many, alone = (
            after_a_day(many, p["transmission"], p),
            after_a_day(alone, own["transmission"], own),
        )
    np.testing.assert_allclose(many[:, [7]], alone, rtol=1e-12)
