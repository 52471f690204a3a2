import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from envs.health.core.cohorts import Cohort
from envs.health.warfarin import env as warfarin
from envs.health.warfarin import protocols
from envs.health.warfarin.env import WarfarinConfig, WarfarinSimulation

TABLE_5 = {
    50: [
        (9.08, 5.94, 4.32),
        (6.22, 4.10, 2.98),
        (5.04, 3.30, 2.40),
        (2.54, 1.66, 1.21),
        (2.82, 1.85, 1.35),
        (1.38, 0.90, 0.66),
    ],
    70: [
        (7.72, 5.06, 3.68),
        (5.30, 3.50, 2.54),
        (4.30, 2.82, 2.06),
        (2.16, 1.41, 1.03),
        (2.40, 1.57, 1.14),
        (1.18, 0.77, 0.56),
    ],
    90: [
        (6.36, 4.16, 3.04),
        (4.40, 2.90, 2.10),
        (3.58, 2.34, 1.71),
        (1.77, 1.16, 0.84),
        (1.97, 1.29, 0.94),
        (1.00, 0.65, 0.47),
    ],
}
"""Hamberg et al. 2007, table 5: daily doses for an INR of 2.5, by age; rows are CYP2C9, columns
VKORC1."""


def ward(patients, cohort: Cohort = "held-out", seed=0):
    simulation = WarfarinConfig(cohort=cohort).simulation(patients)
    assert isinstance(simulation, WarfarinSimulation)
    simulation.admit(np.arange(patients), np.random.default_rng(seed))
    return simulation


def action(dose, days):
    return int(protocols.action_of(np.array([dose]), days)[0])


def test_published_doses_give_an_inr_of_two_and_a_half():
    ages, genes = np.array(list(TABLE_5)), (np.arange(6), np.arange(3))
    age, cyp2c9, vkorc1 = (grid.ravel() for grid in np.meshgrid(ages, *genes, indexing="ij"))
    people = {name: np.full(54, value) for name, value in warfarin.PUBLISHED.items()}
    people["CL"] *= (1 - 0.0091 * (age - 71)) * (1 - warfarin.CLEARANCE_LOST[cyp2c9])
    people["EC50"] *= warfarin.EC50_SHARE[vkorc1]
    simulation = ward(54)
    simulation.course, simulation.who = warfarin.courses(people), np.arange(54)
    for _ in range(90):
        inr = simulation._one_day(np.arange(54), np.array(list(TABLE_5.values())).ravel())
    np.testing.assert_allclose(inr, 2.5, rtol=0.035)


def test_the_days_are_the_differential_equations():
    simulation, doses = ward(3, seed=4), np.random.default_rng(0).choice(protocols.DOSES, (12, 3))
    ours = np.array([simulation._one_day(np.arange(3), day) for day in doses])
    for patient, who in enumerate(simulation.who):
        p = {name: simulation.people[name][who] for name in warfarin.PUBLISHED}

        def change(_, y, p=p):
            level = (max(y[1] / p["V1"], 0) / p["EC50"]) ** 0.424
            made = 1 / (1 + level)
            central, peripheral = y[1] / p["V1"], y[2] / p["V2"]
            chain = 6 / p["MTT1"] * (np.r_[made, y[3:8]] - y[3:9])
            return np.r_[
                -2 * y[0],
                2 * y[0] - p["CL"] * central - 0.131 * (central - peripheral),
                0.131 * (central - peripheral),
                chain,
                (made - y[9]) / p["MTT2"],
            ]

        y = np.r_[np.zeros(3), np.ones(7)]
        for day, dose in enumerate(doses[:, patient]):
            y[0] += dose / 2
            y = solve_ivp(change, (0, 24), y, rtol=1e-6, atol=1e-9, max_step=1).y[:, -1]
            assert ours[day, patient] == pytest.approx(1 + 20 * (1 - y[8] * y[9]) ** 3.61, rel=2e-3)


def test_one_alone_is_as_among_many():
    many, alone = ward(40), ward(1)
    alone.who[0] = many.who[17]
    for dose, days in ((10.0, 2), (5.0, 3), (5.0, 5), (4.0, 7), (0.0, 1)):
        among = protocols.action_of(np.where(np.arange(40) == 17, dose, np.arange(40) / 4), days)
        among += np.where(np.arange(40) == 17, 0, np.arange(40) % 2)
        many.treat(among, np.random.default_rng(1))
        alone.treat(among[17:18], np.random.default_rng(1))
        np.testing.assert_allclose(many.drug[17], alone.drug[0], rtol=1e-9)
        np.testing.assert_allclose(many.fast[17], alone.fast[0], rtol=1e-9)
        assert many.day[17] == alone.day[0]


def test_an_interval_is_the_sum_of_its_days():
    week, days = ward(5), ward(5)
    for simulation, parts in ((week, [3, 3]), (days, [1] * 6)):
        for part in parts:
            simulation.treat(protocols.action_of(np.full(5, 6.0), part), np.random.default_rng(0))
    np.testing.assert_allclose(week.slow, days.slow, rtol=1e-12)
    assert (week.told["range"] == days.told["range"]).all()
    assert (week.day == days.day).all()


def test_tests_come_at_latest_as_late_as_treatment_has_lasted():
    simulation, seen = ward(1), []
    while simulation.day[0] < 90:
        simulation.treat(np.array([action(3.0, 28)]), np.random.default_rng(0))
        seen.append(int(simulation.days[0, 0]))
    assert seen == [3, 3, 6, 12, 24, 28, 14]


def test_the_shortest_time_between_tests_is_kept():
    simulation = WarfarinConfig(step_hours=48).simulation(1)
    simulation.admit(np.arange(1), np.random.default_rng(0))
    simulation.treat(np.array([action(3.0, 1)]), np.random.default_rng(0))
    assert simulation.step_hours == 48
    with pytest.raises(ValueError, match="step_hours"):
        WarfarinConfig(step_hours=36)


def test_reward_counts_the_distance_of_each_day_and_the_test():
    simulation = ward(1, "published")
    twin = ward(1, "published")
    inr = [twin._one_day(np.zeros(1, np.int64), np.array([8.0]))[0] for _ in range(3)]
    outcome = simulation.treat(np.array([action(8.0, 3)]), np.random.default_rng(0))
    assert outcome.rewards[0] == pytest.approx(
        -1 - sum((2 * (min(day, 6) - 2.5)) ** 2 for day in inr)
    )


def test_nothing_is_given_at_an_inr_of_five_and_it_costs():
    env = WarfarinConfig().build_vector(100)
    seen, info = env.reset(seed=0)
    assert info["action_mask"].all()
    for _ in range(4):
        seen, _, _, _, info = env.step(np.full(100, action(15.0, 3)))
    high = seen[:, protocols.NAMES.index("INR")] >= 5
    assert 0 < high.sum() < 100
    assert (info["action_mask"].sum(1) == np.where(high, 7, 217)).all()
    seen, _, _, _, info = env.step(np.full(100, action(15.0, 3)))
    told = dict(zip(protocols.NAMES, seen.T, strict=True))
    assert (told["dose, mg"] == np.where(high, 0, 15)).all()
    assert (told["days since the test before"] == np.where(high, 2, 3)).all()
    assert (info["cost"][high] >= 1).all()


def test_no_more_than_ten_mg_is_given_in_the_first_week():
    simulation, given = ward(1), []
    for _ in range(4):
        simulation.treat(np.array([action(15.0, 3)]), np.random.default_rng(0))
        given.append(float(simulation.past_doses[0, 0]))
    assert given == [10, 10, 10, 15]


def test_a_steep_rise_costs_after_the_first_week():
    simulation = ward(1)
    simulation.day[:], simulation.past_doses[:] = 7, (3.0, 0.0, 3.0)
    costs = [
        simulation.treat(np.array([action(dose, 1)]), np.random.default_rng(0)).costs[0]
        for dose in (4.5, 7.0)
    ]
    assert costs == [0, 1]


def test_rosendaal_by_hand():
    before, after = np.array([1.5, 2.5, 4.0]), np.array([2.5, 2.5, 2.0])
    # 1.75, 2, 2.25, 2.5; 2.5 thrice; 3.5, 3, 2.5, 2.
    assert warfarin.rosendaal(before, after, np.array([4, 3, 4])).tolist() == [3, 3, 3]


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(0, 216), min_size=1, max_size=30), st.integers(0, 100))
def test_whatever_is_done_numbers_stay_sane(actions, seed):
    simulation, random = ward(4, seed=seed), np.random.default_rng(seed)
    for chosen in actions:
        if (simulation.day >= 90).any():
            break
        outcome = simulation.treat(np.full(4, chosen), random)
        assert np.isfinite(outcome.rewards).all()
        assert (outcome.rewards <= -1).all()
    assert ((simulation.inr > 0.8) & (simulation.inr < 25)).all()
    assert (simulation.day <= 90).all()
    assert simulation.observation_space.contains(simulation.observe()[0].astype(np.float32))


def test_cohorts_are_those_that_they_say():
    train, held_out, shifted = (
        warfarin.population(cohort) for cohort in ("train", "held-out", "shifted")
    )
    pairs = [
        set(zip(people["two"], people["three"], people["a"], strict=True))
        for people in (train, held_out)
    ]
    unseen = {(*warfarin.CYP2C9[cyp2c9].tolist(), vkorc1) for cyp2c9, vkorc1 in warfarin.UNSEEN}
    assert not pairs[0] & unseen
    assert unseen <= pairs[1]
    others = warfarin.population("held-out", "unseen")
    assert set(zip(others["two"], others["three"], others["a"], strict=True)) == unseen
    with pytest.raises(ValueError, match="held-out or the shifted"):
        WarfarinConfig(cohort="train", genotypes="unseen")
    assert held_out["age"].mean() == pytest.approx(66.4, abs=1.5)
    assert np.mean(held_out["a"] == 1) == pytest.approx(0.4418, abs=0.05)
    assert np.mean(shifted["a"] == 2) == pytest.approx(0.803, abs=0.04)
    assert not (train["CL"] == held_out["CL"]).any()
    factor = np.log(held_out["MTT2"] / 120) / np.sqrt(np.log1p(1.02**2))
    assert np.abs(factor).max() <= 2
    assert factor.std() == pytest.approx(0.88, abs=0.05)


def test_partial_hides_the_variants():
    seen = WarfarinConfig(partial=True).build_vector(50).reset(seed=1)[0]
    assert not seen[:, :3].any()
    assert seen[:, 3:7].any(0)[:3].all()


def test_the_same_seed_is_the_same_episode():
    def played():
        env = WarfarinConfig().build_vector(8)
        env.reset(seed=3)
        return np.array([env.step(np.full(8, 60 + step))[0] for step in range(25)])

    np.testing.assert_array_equal(played(), played())


def test_the_oracles_dose_is_that_of_the_published_patient():
    config = WarfarinConfig(cohort="published")
    policy = config.baselines()["oracle dose"](config.simulation(1))
    chosen = int(policy(np.zeros((1, len(protocols.NAMES))), np.ones(1, np.bool_)).argmax())
    # Table 5: 5.06 mg at 70 years.
    assert protocols.DOSES[chosen // len(protocols.INTERVALS)] == 5.0
