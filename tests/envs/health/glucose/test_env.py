from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.stats import kstest

from envs.health.core.treatment import Patient, Patients
from envs.health.glucose import model
from envs.health.glucose.env import (
    BOLUS_LIMIT,
    MAX_BASAL,
    GlucoseConfig,
    GlucoseSimulation,
    cohort_table,
    times,
    wish,
)

ALL = model.patients()
NAMES = list(ALL["name"])
TABLE = {name: column for name, column in ALL.items() if name != "name"}

PUBLISHED = {
    "adult#001": [186.888810, 178.189011, 177.013570, 180.506316, 187.334239, 191.625624],
    "adolescent#005": [223.501031, 210.326827, 138.734273, 202.342085, 279.278019, 236.537406],
    "child#008": [410.067245, 299.697342, 103.567472, 240.258362, 332.092666, 243.818804],
}
"""Glucose every two hours, mg/dl, by simglucose 0.2.11: for each minute k < 720,
T1DPatient.withName(name).step(Action( CHO=60 if k == 60 else 30 if k == 420 else 0, insulin=u2ss *
BW / 6000 * (not 300 <= k < 420) + 4 * (k == 60))). `benchmarks/glucose.py` computes them again,
beside ours."""


def some(name: str) -> dict[str, np.ndarray]:
    return {key: column[[NAMES.index(name)]] for key, column in TABLE.items()}


def simulation(
    patients: int = 1, *, seed: int = 0, **settings
) -> tuple[GlucoseSimulation, np.random.Generator]:
    made, random = (
        GlucoseSimulation(GlucoseConfig(**settings), patients),
        np.random.default_rng(seed),
    )
    made.admit(np.arange(patients), random)
    return made, random


def fed(made: GlucoseSimulation, *meals: tuple[int, float]) -> None:
    """These meals, minute and g, instead of those by chance."""
    made.meal_amounts[:] = 0
    for row, (minute, grams) in enumerate(meals):
        made.meal_times[:, row], made.meal_amounts[:, row] = minute, grams


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_body_is_simglucoses(name: str) -> None:
    """Eating goes by the simulation, insulin by hand."""
    made, _ = simulation(cohort="published")
    made.parameters, basal = some(name), model.prescribed_basal(some(name)) / 60
    made.state = model.steady_state(made.parameters)
    glucose = []
    for minute in range(720):
        carbohydrates = np.array([{60: 60.0, 420: 30.0}.get(minute, 0.0)])
        insulin = basal * (not 300 <= minute < 420) + 4.0 * (minute == 60)
        made._live(carbohydrates, insulin, basal)
        if (minute + 1) % 120 == 0:
            glucose.append(made._glucose()[0])
    # simglucose's solver has a relative tolerance of 1e-6.
    np.testing.assert_allclose(glucose, PUBLISHED[name], atol=0.01)


def test_minutes_agree_with_another_solver() -> None:
    """All 30 patients, two hours into a meal with a bolus."""
    state, basal = model.steady_state(TABLE), model.prescribed_basal(TABLE) / 60
    meal, eaten, insulin = np.full(30, 50_000.0), np.full(30, 5.0), basal + 0.5
    ours = state
    for _ in range(10):
        ours = model.minute(ours, eaten, insulin, meal, TABLE)
    for _ in range(110):
        ours = model.minute(ours, 0 * eaten, basal, meal, TABLE)
    exact = state
    for until, food, dose in ((10, eaten, insulin), (110, 0 * eaten, basal)):

        def changes(_, y, food=food, dose=dose):
            return model.rates(y.reshape(13, 30), food, dose, meal, TABLE).ravel()

        exact = (
            solve_ivp(changes, (0, until), exact.ravel(), rtol=1e-9, atol=1e-9)
            .y[:, -1]
            .reshape(13, 30)
        )
    np.testing.assert_allclose(
        ours[model.SENSED] / TABLE["Vg"], exact[model.SENSED] / TABLE["Vg"], atol=0.05
    )
    np.testing.assert_allclose(ours, exact, rtol=2e-3, atol=0.5)


def test_prescribed_basal_holds_the_steady_state() -> None:
    state = model.steady_state(TABLE)
    nothing = np.zeros(30)
    still = model.rates(state, nothing, model.prescribed_basal(TABLE) / 60, nothing, TABLE)
    np.testing.assert_allclose(still, 0, atol=1e-6)
    assert model.prescribed_basal(some("adult#001"))[0] == pytest.approx(
        1.2674, abs=1e-4
    )  # 1.2386 * 102.32 * 60 / 6000


def test_what_is_eaten_is_absorbed() -> None:
    """Stomach and gut lose only what appears in the plasma: over a day the integral of that is f
    times the meal."""
    p = some("adult#003")
    state, appeared = model.steady_state(p), 0.0
    for minute in range(1_440):
        eaten = np.array([5.0 if minute < 12 else 0.0])
        middle = state[2] / 2
        state = model.minute(state, eaten, model.prescribed_basal(p) / 60, np.full(1, 60_000.0), p)
        appeared += float((p["f"] * p["kabs"] * (middle + state[2] / 2))[0])
    assert appeared == pytest.approx(0.9 * 60_000, rel=0.01)


def test_risks_by_hand() -> None:
    glucose = np.array([112.5, 139.0, 250.0, 70.0, 180.0, 5.0])
    # 10 (3.5506 (ln(250)^0.8353 - 3.7932))^2, with ln(250)^0.8353 = 4.1673
    np.testing.assert_allclose(
        model.magni_risk(glucose), [2.2, 0.0, 17.6, 25.2, 3.4, 100], atol=0.3
    )
    # 10 (1.509 (ln(250)^1.084 - 5.381))^2, with ln(250)^1.084 = 6.3736; equal at both ends of the
    # range.
    np.testing.assert_allclose(
        model.kovatchev_risk(glucose), [0.0, 1.6, 22.4, 7.8, 7.8, 100], atol=0.3
    )


def test_either_risk_is_rewarded() -> None:
    sums = {}
    for risk in ("magni", "kovatchev"):
        made, random = simulation(2, days=1, risk=risk)
        sums[risk] = [made.treat(np.zeros((2, 2)), random).rewards for _ in range(48)]
        told = made.metrics()
        np.testing.assert_allclose(-np.sum(sums[risk], 0), 48 * told[f"{risk}_risk"], rtol=1e-9)
    assert not np.allclose(np.sum(sums["magni"], 0), np.sum(sums["kovatchev"], 0))


def test_meals_are_as_published() -> None:
    when, grams = model.drawn_meals(4_000, 2, np.random.default_rng(0))
    first = grams > 0
    np.testing.assert_allclose(first[:, [0, 2, 4]].mean(0), 0.95, atol=0.02)
    assert 0.25 < first[:, 1].mean() < 0.32  # some snacks of 30 % come to 0 g
    np.testing.assert_allclose(
        [grams[:, k][first[:, k]].mean() for k in (0, 2, 4)], [45, 70, 80], atol=0.7
    )
    assert ((when[:, 0] >= 300) & (when[:, 0] <= 540)).all()
    assert ((when[:, 8] >= 1_440 + 600) & (when[:, 8] <= 1_440 + 840)).all()
    # Between 5 and 9 around 7, deviation an hour: a normal distribution cut at two deviations,
    # whose own is 0.88.
    assert np.std(when[:, 0]) == pytest.approx(52.8, abs=2)


def test_sensor_errs_as_published() -> None:
    """Its deviation is autoregressive, 0.7, so its variance goes to 0.49 / 0.51; its error is
    Johnson's."""
    made, random = simulation(4_000, days=1)
    for _ in range(40):
        made.state = model.steady_state(made.parameters)
        made._turn_sensor(random)
        made.minutes += 15
    before, after = made.deviations
    assert np.var(before) == pytest.approx(0.49 / 0.51, abs=0.05)
    assert np.corrcoef(before, after)[0, 1] == pytest.approx(0.7, abs=0.03)
    deviations = (
        np.arcsinh((model.sensor_error(after) + 5.47) / 15.9574) * 1.6898 - 0.5444
    ) / np.sqrt(0.49 / 0.51)
    assert kstest(deviations, "norm").pvalue > 1e-3


def test_exact_sensor_reads_the_glucose() -> None:
    made, random = simulation(5, sensor_error=0.0)
    made.treat(np.zeros((5, 2)), random)
    np.testing.assert_allclose(made.observe()[:, 0], made._glucose())


def test_standard_of_care_gives_the_prescription() -> None:
    """adult#001, without sensor error: 60 g / 10 g/U, then 20 g / 10 g/U and what is above 140
    mg/dl / 8.77 mg/dl/U."""
    made, random = simulation(cohort="published", sensor_error=0.0)
    fed(made, (10, 60.0))
    made.treat(np.zeros((1, 2)), random)
    assert made.given[:, 0] == pytest.approx([60.0, 1.2674, 6.0], abs=1e-3)
    fed(made, (90, 20.0))
    while made.minutes[0] < 90:
        made.treat(np.zeros((1, 2)), random)
    made.treat(np.zeros((1, 2)), random)
    high = made.readings[-7, 0]  # half an hour before minute 120
    assert high > 150
    assert made.given[2, 0] == pytest.approx(2.0 + (high - 140) / 8.77310657487)


def test_corrections_of_the_prescription() -> None:
    made, random = simulation(cohort="published", sensor_error=0.0)
    fed(made, (10, 60.0))
    made.treat(np.array([[1.0, 0.5]]), random)
    assert made.given[:, 0] == pytest.approx([60.0, MAX_BASAL * 1.2674, 9.0], abs=1e-3)
    untreated, random = simulation(cohort="published")
    for _ in range(48):
        untreated.treat(-np.ones((1, 2)), random)
    assert untreated.insulin[0] == 0
    assert untreated._glucose()[0] > 250


@given(st.floats(0, 4))
def test_wishes_and_multiples_are_inverse(multiple: float) -> None:
    assert times(wish(np.array([multiple]), 4.0), 4.0)[0] == pytest.approx(multiple, abs=1e-12)


def test_boluses_are_cut_at_a_cost() -> None:
    made, random = simulation(cohort="published")
    fed(made, (0, 200.0))
    outcome = made.treat(np.array([[0.0, 1.0]]), random)
    assert made.given[2, 0] == BOLUS_LIMIT
    assert outcome.costs[0] == 1


@pytest.mark.parametrize("suspend", [False, True])
def test_low_glucose_suspends_basal_insulin(suspend: bool) -> None:
    made, random = simulation(cohort="published", sensor_error=0.0, suspend=suspend)
    fed(made)
    made.state[[model.PLASMA, model.TISSUE, model.SENSED]] *= 0.4
    made.readings[:] = made._glucose()
    outcome = made.treat(np.array([[-0.9, 0.0]]), random)
    assert outcome.costs[0] == pytest.approx(1.0)
    assert (made.given[1, 0] == 0) == suspend
    none = made.treat(np.array([[-1.0, 0.0]]), random)
    assert none.costs[0] == 0


@pytest.mark.parametrize(("factor", "where"), [(0.05, "time_below_54"), (8.0, "time_above_250")])
def test_failure_counts_for_the_rest(factor: float, where: str) -> None:
    made, random = simulation(3, days=1)
    made.state[[model.PLASMA, model.TISSUE, model.SENSED], 0] *= factor
    outcome = made.treat(np.zeros((3, 2)), random)
    assert outcome.terminated.tolist() == [True, False, False]
    assert outcome.rewards[0] == pytest.approx(-48 * 100)
    assert made.metrics()[where][0] > 97
    assert made.metrics()["failed"].tolist() == [1, 0, 0]


def test_metrics_are_those_of_the_course() -> None:
    """Counted again, from what every five minutes brought."""
    made, random = simulation(6, days=1, step_hours=1 / 12, seed=3)
    course, rewards = [], []
    for _ in range(288):
        rewards.append(made.treat(np.full((6, 2), 0.1), random).rewards)
        course.append(made._glucose())
    alive = ~made.failed
    assert alive.sum() >= 3
    glucose, told = np.array(course)[:, alive], made.metrics()
    low, high = (glucose < 70).mean(0), (glucose > 180).mean(0)
    np.testing.assert_allclose(told["time_below_70"][alive], 100 * low)
    np.testing.assert_allclose(told["time_in_range"][alive], 100 * (1 - low - high))
    np.testing.assert_allclose(told["mean_glucose"][alive], glucose.mean(0))
    np.testing.assert_allclose(-np.sum(rewards, 0)[alive], 288 * told["magni_risk"][alive])


def test_one_patient_alone_lives_as_among_many() -> None:
    many, random = simulation(8, sensor_error=0.0, seed=5)
    one, _ = simulation(1, sensor_error=0.0)
    for kept in ("state", "eating", "insulin_board", "readings"):
        setattr(one, kept, getattr(many, kept)[:, 4:5].copy())
    one.parameters = {name: column[4:5].copy() for name, column in many.parameters.items()}
    one.meal_times, one.meal_amounts = many.meal_times[4:5].copy(), many.meal_amounts[4:5].copy()
    doses = np.random.default_rng(1).uniform(-1, 0.2, (40, 8, 2))
    for dose in doses:
        among, alone = many.treat(dose, random), one.treat(dose[4:5], random)
        assert alone.rewards[0] == pytest.approx(among.rewards[4], rel=1e-9)
    np.testing.assert_allclose(one.observe()[0], many.observe()[4], rtol=1e-9)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.25, 0.5, 1.0]))
def test_whatever_is_done_stays_finite_and_within_the_space(seed: int, step_hours: float) -> None:
    config = GlucoseConfig(cohort="shifted", step_hours=step_hours, days=1, noise=0.2, missing=0.2)
    env = Patients(config, 16)
    env.reset(seed=seed)
    random = np.random.default_rng(seed)
    for _ in range(30):
        observations, rewards, *_, info = env.step(random.uniform(-1, 1, (16, 2)))
        assert env.single_observation_space.contains(observations[0])
        assert np.isfinite(rewards).all()
        assert (rewards <= 0).all()
        assert (info["cost"] >= 0).all()


def test_cohorts_differ() -> None:
    train, held_out = cohort_table("train", "all"), cohort_table("held-out", "all")
    assert len(set(train["u2ss"])) == 21
    assert min(len(set(train[name])) for name in ("Vmx", "BW", "CR", "CF")) > 1_500
    assert len(set(cohort_table("shifted", "all")["CR"])) <= 9, (
        "an illness leaves the prescription as it is"
    )
    assert len(held_out["BW"]) == 9
    assert not set(train["BW"]) & set(held_out["BW"])
    assert len(set(cohort_table("train", "child")["u2ss"])) == 7
    assert np.median(train["Vmx"]) == pytest.approx(np.median(TABLE["Vmx"]), rel=0.15)
    shifted = cohort_table("shifted", "adult")
    assert set(shifted["BW"]) == set(cohort_table("held-out", "adult")["BW"])
    assert np.mean(shifted["Vmx"]) < 0.9 * np.mean(cohort_table("held-out", "adult")["Vmx"])
    assert cohort_table("published", "all")["BW"].tolist() == [102.32]


def test_same_seed_same_episode_and_another_another() -> None:
    env, returns = Patient(GlucoseConfig(days=1)), []
    for seed in (1, 1, 2):
        env.reset(seed=seed)
        returns.append([env.step(np.zeros(2, np.float32))[1] for _ in range(30)])
    assert returns[0] == returns[1] != returns[2]


def test_baselines_stand_where_they_should() -> None:
    """Basal-bolus, one day, adult#001: 88.1 % in range by simglucose's own loop, with one draw of
    meals and errors."""
    in_range, risk = {}, {}
    config = GlucoseConfig(cohort="published", days=1)
    for name, make in config.baselines().items():
        env = Patients(config, 64)
        policy, (observations, _) = make(env.ward.simulation), env.reset(seed=0)
        for step in range(48):
            observations, *_, info = env.step(policy(observations, np.full(64, step == 0)))
        told = info["final_info"]["episode_metrics"]
        in_range[name], risk[name] = told["time_in_range"].mean(), told["magni_risk"].mean()
    assert 85 < in_range["standard of care"] < 97
    assert in_range["untreated"] < 40
    assert risk["standard of care"] < risk["random"] < risk["untreated"]
    assert in_range["PID"] > in_range["standard of care"]


def test_gymnasium_is_content() -> None:
    check_env(Patient(GlucoseConfig()), skip_render_check=True)


def test_partial_hides_the_meals() -> None:
    config = GlucoseConfig(partial=True)
    env = Patients(config, 4)
    env.reset(seed=0)
    for _ in range(20):
        observations, *_ = env.step(np.zeros((4, 2)))
    assert (observations[:, 5] == 0).all()
    open_env = Patients(replace(config, partial=False), 4)
    open_env.reset(seed=0)
    for _ in range(20):
        observations, *_ = open_env.step(np.zeros((4, 2)))
    assert (observations[:, 5] > 0).any()


def test_mistakes_are_told() -> None:
    for wrong in ({"step_hours": 0.7}, {"step_hours": 0.0}, {"step_hours": 3.5}):
        with pytest.raises(ValueError, match=r"step_hours must be a.* multiple of five minutes"):
            GlucoseConfig(**wrong)
    for wrong in ({"days": 0}, {"sensor_error": -1.0}):
        with pytest.raises(ValueError, match=r"(days|sensor_error) must be a"):
            GlucoseConfig(**wrong)
    with pytest.raises(ValueError, match="no child"):
        GlucoseConfig(cohort="published", group="child")
