"""Interventions: published deaths and losses, the stages of transmission, reports that err, and
rules that decide."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import envs.health  # noqa: F401
from envs.health.core.policies import read
from envs.health.core.treatment import Patient, Ward
from envs.health.epidemic.env import (
    CURFEW,
    DISTANCING,
    GDP,
    LOCKDOWN,
    NONE,
    EpidemicConfig,
    EpidemicSimulation,
    alert_levels,
    arrivals,
    cycle,
    distinct,
    incidence,
    stage_of,
    threshold,
)

PUBLISHED = EpidemicConfig(cohort="published")


def admitted(config, number=1, seed=0):
    simulation, random = config.simulation(number), np.random.default_rng(seed)
    simulation.admit(np.arange(number), random)
    return simulation, random


def played(config, levels, number=1):
    """A year of these levels, over and over: the simulation, and its rewards and costs (T, N)."""
    simulation, random = admitted(config, number)
    outcomes = [simulation.treat(np.full(number, levels[0]), random)]
    while not outcomes[-1].truncated.all():
        outcomes.append(
            simulation.treat(np.full(number, levels[len(outcomes) % len(levels)]), random)
        )
    return (
        simulation,
        np.stack([o.rewards for o in outcomes]),
        np.stack([o.costs for o in outcomes]),
    )


@pytest.mark.parametrize(
    ("levels", "deaths", "loss"),
    [
        ((NONE,), 56_521, 1.7),
        ((LOCKDOWN,), 257, 150),
        ((LOCKDOWN, LOCKDOWN, NONE, NONE), 52_727, 76),
    ],
)
def test_deaths_and_losses_in_ile_de_france(levels, deaths, loss):
    """Measured with another implementation of EpidemiOptim's equations; losses in thousand million
    euros."""
    metrics = played(PUBLISHED, levels)[0].metrics()
    assert metrics["deaths"][0] == pytest.approx(deaths, abs=0.6)
    assert metrics["gdp_loss"][0] == pytest.approx(loss, rel=0.02)


def test_a_lockdown_bites_in_four_stages_and_is_forgotten_in_four():
    simulation, random = admitted(PUBLISHED)
    told = []
    for level in [LOCKDOWN] * 5 + [NONE] * 5:
        simulation.treat(np.array([level]), random)
        told.append(simulation._effect()[0])
    weeks = np.array([-0.118333, -0.497474, -1.37006, -1.46233])
    falling = np.exp(weeks.cumsum())
    np.testing.assert_allclose(told, [*falling, falling[3], *falling[2::-1], 1, 1], rtol=1e-6)


def test_weeks_that_are_not_compounded_are_each_against_none():
    simulation, random = admitted(replace(PUBLISHED, compounded=False))
    told = [
        (simulation.treat(np.array([LOCKDOWN]), random), simulation._effect()[0])[1]
        for _ in range(5)
    ]
    np.testing.assert_allclose(
        told, np.exp([-0.118333, -0.497474, -1.37006, -1.46233, -1.46233]), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("level", "transmission", "loss"), [(DISTANCING, 0.79, 0.02), (CURFEW, 0.55, 0.05)]
)
@pytest.mark.parametrize("compounded", [True, False])
@pytest.mark.parametrize("before", [NONE, LOCKDOWN])
def test_levels_between_end_where_they_should(level, transmission, loss, compounded, before):
    simulation, random = admitted(EpidemicConfig(cohort="train", compounded=compounded), 200)
    for chosen in [before] * 4 + [level] * 4:
        lost = simulation.lost.copy()
        simulation.treat(np.full(200, chosen), random)
    np.testing.assert_allclose(simulation._effect(), transmission, rtol=1e-9)
    week = (simulation.lost - lost) / (GDP * simulation.parameters["people"] * 7 / 365)
    assert (week >= loss).all()
    assert week.min() == pytest.approx(loss, abs=0.005)


def test_stages_between_are_interpolated():
    effects = np.array([[0.0, -1.0, -1.5, -2.0, -3.0], [0.0, 0.2, -0.2, -2.0, -1.9]]).T
    np.testing.assert_allclose(stage_of(-1.25, effects), [1.5, 2 + 1.05 / 1.8])


def test_an_effect_that_no_stage_has_is_that_of_the_last_one():
    effects = np.array([[0.0, -0.1, -0.2, -0.3, -0.4]]).T
    np.testing.assert_array_equal(stage_of(-2.0, effects), [4.0])


def test_deciding_daily_does_not_change_what_a_level_does_nor_speed_it_up():
    weekly, daily = (
        played(replace(PUBLISHED, step_hours=hours), (CURFEW,))[0].metrics()
        for hours in (168.0, 24.0)
    )
    for name in weekly:
        assert daily[name][0] == pytest.approx(weekly[name][0], rel=1e-9), name
    simulation, random = admitted(replace(PUBLISHED, step_hours=24.0))
    for day in range(6):
        simulation.treat(np.array([LOCKDOWN if day % 2 else CURFEW]), random)
    assert simulation.stage[0] == 1


def test_a_week_of_lockdown_costs_what_half_the_labour_makes():
    simulation, random = admitted(replace(PUBLISHED, beta=1.0))
    outcome = simulation.treat(np.array([LOCKDOWN]), random)
    expected = 2_317 * 12_278_210 / 67e6 * 7 / 365 * (1 - 0.5**0.63)
    assert simulation.metrics()["gdp_loss"][0] == pytest.approx(expected, rel=1e-3)
    assert outcome.rewards[0] == pytest.approx(-expected, rel=1e-3)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_rewards_weigh_deaths_and_losses_as_if_each_region_were_the_largest(beta):
    simulation, rewards, _ = played(
        EpidemicConfig(cohort="train", beta=beta), (NONE, CURFEW, LOCKDOWN), 20
    )
    metrics = simulation.metrics()
    expected = (1 - beta) * metrics["deaths"] / 650 + beta * metrics["gdp_loss"]
    scale = 12_278_210 / simulation.parameters["people"]
    np.testing.assert_allclose(rewards.sum(0), -expected * scale, rtol=1e-9)


def test_costs_are_patients_without_a_bed():
    simulation, _, costs = played(PUBLISHED, (NONE,))
    assert costs.max() <= simulation.metrics()["peak_icu_share"][0] - 1
    assert costs.max() > 10
    assert played(PUBLISHED, (LOCKDOWN,))[2].sum() == 0


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=52, max_size=52))
def test_any_policy_lies_between_never_and_always(levels):
    metrics = played(PUBLISHED, tuple(levels))[0].metrics()
    assert 250 < metrics["deaths"][0] <= 56_521
    assert metrics["gdp_loss"][0] < 150
    assert metrics["restricted_weeks"][0] == sum(level > 0 for level in levels)
    assert metrics["lockdown_weeks"][0] == levels.count(LOCKDOWN)


def test_delays_arrive_as_if_each_report_had_its_own():
    random = np.random.default_rng(0)
    happened, delays = random.uniform(0, 7, 200_000), random.exponential(5.0, 200_000)
    soon, later = arrivals(7, 5.0)
    arrived = happened + delays
    assert soon == pytest.approx((arrived < 7).mean(), abs=0.005)
    assert later == pytest.approx((arrived[arrived >= 7] < 14).mean(), abs=0.01)
    assert arrivals(7, 0.0) == (1.0, 1.0)


def test_reports_that_are_delayed_and_repeated_can_be_cleaned():
    """Of an untreated year nearly everything is reported in the end, and what is distinct adds up
    to it."""
    config = EpidemicConfig(cohort="train", delay_days=10.0, duplicated=0.3)
    simulation, random = admitted(config, 50)
    start = simulation.pending.sum(1)
    sums, repeated, late = np.zeros((3, 50)), np.zeros((3, 50)), np.zeros((3, 50))
    for _ in range(52):
        simulation.treat(np.zeros(50, np.int64), random)
        readings = read(simulation.names, simulation.observe())
        each = simulation.parameters["people"] / 1e6
        sums += np.stack(
            [distinct(readings, kind) * each for kind in ("cases", "admissions", "deaths")]
        )
        repeated += simulation.reports[:, 2]
        late += simulation.reports[:, 1]
    deaths, admissions = simulation.metrics()["deaths"], simulation.state[7]
    pending = simulation.pending
    np.testing.assert_allclose((sums + pending)[1].sum(), admissions.sum() + start[1], rtol=0.01)
    np.testing.assert_allclose((sums + pending)[2].sum(), deaths.sum() + start[2], rtol=0.01)
    np.testing.assert_allclose(repeated.sum() / sums.sum(), 0.3, rtol=0.01)
    assert 0.5 < late.sum() / sums.sum() < 0.9


def test_reports_without_error_are_what_happened():
    simulation, random = admitted(PUBLISHED)
    for _ in range(10):
        before = simulation.state.copy()
        simulation.treat(np.array([NONE]), random)
    readings, changes = (
        read(simulation.names, simulation.observe()),
        (simulation.state - before)[:, 0],
    )
    each = 1e6 / 12_278_210
    found = 0.034 + 0.966 * 0.38
    assert distinct(readings, "cases")[0] == pytest.approx(found * changes[6] * each, rel=0.01)
    assert distinct(readings, "admissions")[0] == pytest.approx(changes[7] * each, rel=0.02)
    assert distinct(readings, "deaths")[0] == pytest.approx(0.005 * changes[3] * each, rel=0.1)
    assert incidence(readings)[0] == pytest.approx(distinct(readings, "cases")[0] / 10)


def test_testing_grows_from_7_to_38_percent_in_seven_weeks():
    simulation, _ = admitted(PUBLISHED, 9)
    np.testing.assert_allclose(
        simulation._tested(np.arange(9)) * 0.38, [*np.linspace(0.07, 0.38, 8), 0.38]
    )


def test_partial_hides_what_nobody_knows_and_baselines_do_without():
    config = EpidemicConfig(partial=True, noise=0.2, missing=0.3, delay_days=7.0, duplicated=0.2)
    env = config.build_vector(8)
    names = env.ward.simulation.names
    for name, make in config.baselines().items():
        policy, first = make(env.ward.simulation), np.ones(8, np.bool_)
        observations, _ = env.reset(seed=1)
        for _ in range(53):
            assert (observations[:, 15:] == 0).all()
            assert (observations[:, :14] != 0).any(0).sum() > 5
            probabilities = policy(observations, first)
            np.testing.assert_allclose(probabilities.sum(1), 1, err_msg=name)
            observations, rewards, _, first, _ = env.step(probabilities.argmax(1))
            assert np.isfinite(rewards).all()
    assert names[15] == "susceptible, share"


def seen(simulation, cases, beds=0.0):
    """Observations with these cases a week and 100,000 people, and this share of the beds in
    use."""
    row = np.zeros((len(cases), len(simulation.names)))
    row[:, simulation.names.index("log10 cases a week and million")] = np.log10(
        1 + 10 * np.asarray(cases)
    )
    row[:, simulation.names.index("log10 in intensive care a hundred beds")] = np.log10(
        1 + 100 * np.asarray(beds)
    )
    return row


def test_a_threshold_holds_until_its_second_limit():
    simulation, _ = admitted(PUBLISHED)
    policy = threshold(incidence, 50, 5)(simulation)
    chosen = [
        policy(seen(simulation, [cases]), np.array([week == 0])).argmax()
        for week, cases in enumerate([40, 60, 20, 6, 4, 20])
    ]
    assert chosen == [NONE, LOCKDOWN, LOCKDOWN, LOCKDOWN, NONE, NONE]
    assert policy(seen(simulation, [60]), np.array([False])).argmax() == LOCKDOWN
    assert policy(seen(simulation, [20]), np.array([True])).argmax() == NONE


def test_repeated_reports_do_not_reach_a_threshold():
    simulation, _ = admitted(PUBLISHED)
    row = seen(simulation, [60.0])
    row[:, simulation.names.index("log10 repeated cases a week and million")] = np.log10(1 + 200)
    assert threshold(incidence, 50, 50)(simulation)(row, np.array([True])).argmax() == NONE


def test_alert_levels_are_frances():
    simulation, _ = admitted(PUBLISHED)
    cases, beds = [49, 51, 151, 251, 251, 10], [0, 0, 0.5, 0.2, 0.31, 0.61]
    chosen = alert_levels(simulation)(seen(simulation, cases, beds), np.ones(6, np.bool_)).argmax(1)
    assert chosen.tolist() == [NONE, DISTANCING, CURFEW, CURFEW, LOCKDOWN, LOCKDOWN]


@pytest.mark.parametrize(("hours", "times"), [(168.0, 1), (24.0, 7)])
def test_cycles_count_weeks_and_begin_anew_with_each_episode(hours, times):
    simulation, _ = admitted(replace(PUBLISHED, step_hours=hours))
    policy = cycle(1, 2)(simulation)
    chosen = [
        policy(seen(simulation, [0]), np.array([step == 0])).argmax() for step in range(7 * times)
    ]
    assert chosen == np.repeat([3, 0, 0, 3, 0, 0, 3], times).tolist()
    assert policy(seen(simulation, [0]), np.array([True])).argmax() == LOCKDOWN


def test_one_region_alone_evolves_as_among_many():
    many, random = admitted(PUBLISHED, 4)
    alone, other = admitted(PUBLISHED, 1)
    for week in range(52):
        many.treat(np.array([week % 4, 3, 0, 1]), random)
        alone.treat(np.array([week % 4]), other)
    np.testing.assert_allclose(many.state[:, 0], alone.state[:, 0], rtol=1e-12)
    assert many.metrics()["gdp_loss"][0] == pytest.approx(alone.metrics()["gdp_loss"][0])


def test_who_is_admitted_anew_leaves_the_others_alone():
    simulation, random = admitted(EpidemicConfig(), 6)
    for _ in range(10):
        simulation.treat(np.full(6, CURFEW), random)
    before = [
        np.copy(simulation.state),
        np.copy(simulation.reports),
        np.copy(simulation.effects),
        simulation.observe(),
    ]
    simulation.admit(np.array([1, 4]), random)
    after = [simulation.state, simulation.reports, simulation.effects, simulation.observe().T]
    before[-1] = before[-1].T
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[..., [0, 2, 3, 5]], new[..., [0, 2, 3, 5]])
    assert (simulation.steps[[1, 4]] == 0).all()
    assert (simulation.metrics()["deaths"][[1, 4]] == 0).all()


def test_the_same_seed_gives_the_same_episode():
    def episode():
        env = Patient(EpidemicConfig(noise=0.1, delay_days=5.0))
        seen = [env.reset(seed=3)[0]]
        return np.array(seen + [env.step(week % 4)[0] for week in range(52)])

    np.testing.assert_array_equal(episode(), episode())


def test_observations_stay_in_their_space():
    ward, random = (
        Ward(EpidemicConfig(cohort="shifted", duplicated=0.5), 30),
        np.random.default_rng(0),
    )
    ward.admit(np.arange(30), random)
    for _ in range(52):
        ward.treat(np.zeros(30, np.int64), random)
        assert (np.abs(ward.observations()) < 10).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"step_hours": 100.0}, "step_hours"),
        ({"step_hours": 120.0}, "168"),
        ({"beta": 1.1}, "beta"),
        ({"delay_days": -1.0}, "delay_days"),
        ({"duplicated": 1.0}, "duplicated"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(wrong, said):
    with pytest.raises(ValueError, match=said) as told:
        EpidemicConfig(**wrong)
    assert "\n" not in str(told.value)


def test_gymnasium_knows_it():
    env = gymnasium.make("health/epidemic-npi-v0", render_mode="rgb_array", cohort="published")
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=0)
    told = [env.step(LOCKDOWN) for _ in range(52)]
    assert told[-1][3]
    assert told[-1][4]["episode_metrics"]["deaths"] == pytest.approx(257, rel=1e-2)
    assert env.unwrapped.render().shape[2] == 3
    assert isinstance(env.unwrapped.ward.simulation, EpidemicSimulation)
