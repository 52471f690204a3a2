from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from envs.health.core.treatment import Patient, Patients
from envs.health.tumor import scans
from envs.health.tumor.env import (
    FATAL,
    FULL,
    HALF,
    LEVELS,
    LOW,
    NONE,
    PUBLISHED,
    TumorConfig,
    TumorSimulation,
    rates,
    state_after,
)

COUNTS = TumorConfig(seen="counts", cohort="published")


def episode(config, name, patients=1, seed=0):
    """Returns (N,), lengths (N,), sums of costs (N,) and metrics of a first episode each, by a
    baseline."""
    env = Patients(config, patients)
    policy, random = config.baselines()[name](env.ward.simulation), np.random.default_rng(seed)
    observations, _ = env.reset(seed=seed)
    first, over = np.ones(patients, bool), np.zeros(patients, bool)
    returns, lengths, costs, metrics = (
        np.zeros(patients),
        np.zeros(patients, int),
        np.zeros(patients),
        {},
    )
    while not over.all():
        edges = policy(observations, first).cumsum(1)
        actions = (random.random((patients, 1)) >= edges).sum(1)
        observations, rewards, terminated, truncated, info = env.step(actions)
        returns, lengths, costs = (
            returns + ~over * rewards,
            lengths + ~over,
            costs + ~over * info["cost"],
        )
        first = terminated | truncated
        for key, values in info.get("final_info", {}).get("episode_metrics", {}).items():
            metrics.setdefault(key, np.zeros(patients))[first & ~over] = values[first & ~over]
        over = over | first
    return returns, lengths, costs, metrics


@pytest.mark.parametrize(
    ("name", "expected", "steps"),
    [
        ("untreated", -163, 73),
        ("full dose", -135, 600),
        ("half dose", 65, 600),
        ("full dose while T > 0.05", 333, 600),
    ],
)
def test_published_patient_has_the_measured_returns(name, expected, steps):
    returns, lengths, _, _ = episode(COUNTS, name)
    assert round(returns[0]) == expected
    assert lengths[0] == steps


def test_chance_has_the_measured_return():
    returns, _, _, _ = episode(COUNTS, "random", 100)
    assert abs(returns.mean() - 60) < 6  # its standard error is 1.5


def test_equations_by_hand():
    """I = 1, N = 1, T = 0.3, C = ln 2, which kills half of what the drug can kill."""
    published = {name: np.array([value]) for name, value in PUBLISHED.items()}
    changes = rates(np.array([[1.0], [1.0], [0.3], [np.log(2)]]), np.array([1.0]), published)[:, 0]
    expected = [
        0.33
        + 0.01 * 0.5
        - 0.3
        - 0.2
        - 0.1,  # made, called, killed by the tumor, dying, killed by the drug
        0 - 0.3 - 0.05,
        0.3 * (1.5 * 0.7 - 0.5 - 1 - 0.15),
        1 - np.log(2),
    ]
    np.testing.assert_allclose(changes, expected, rtol=1e-12)


@given(
    state=st.tuples(
        *[st.floats(0.001, most) for most in (1.5, 1.0, 1.0, 1.5)]
    ),  # what patients come to at most
    dose=st.sampled_from(list(LEVELS)),
    days=st.sampled_from([0.25, 1.0, 7.0]),
)
def test_integrator_agrees_with_scipy(state, dose, days):
    published = {name: np.array([value]) for name, value in PUBLISHED.items()}
    ours = state_after(np.array(state)[:, None], np.array([dose]), published, days)[:, 0]
    exact = solve_ivp(
        lambda _, y: rates(y[:, None], np.array([dose]), published)[:, 0],
        (0, days),
        state,
        method="DOP853",
        rtol=1e-9,
        atol=1e-11,
    ).y[:, -1]
    np.testing.assert_allclose(ours, exact, rtol=5e-4, atol=5e-4)


def test_longer_steps_have_the_same_course_and_weigh_as_many_hours():
    hours, days = (episode(replace(COUNTS, step_hours=h), "half dose") for h in (6.0, 24.0))
    assert days[1][0] == 150
    assert days[3]["fewest_normal_cells"][0] == pytest.approx(
        hours[3]["fewest_normal_cells"][0], abs=2e-3
    )
    assert days[0][0] == pytest.approx(hours[0][0], rel=0.05)


def test_one_patient_evolves_as_among_many():
    many, one = (TumorSimulation(TumorConfig(seen="counts"), n) for n in (50, 1))
    random = np.random.default_rng(0)
    many.admit(np.arange(50), random)
    one.admit(np.arange(1), random)
    one.who[:] = many.who[7]
    for name, values in many.parameters.items():
        one.parameters[name][0] = values[7]
    one.state[:] = many.state[:, 7:8]
    for action in (FULL, HALF, NONE, FULL):
        told = [
            simulation.treat(np.full(len(simulation.steps), action), random)
            for simulation in (many, one)
        ]
        assert told[0].rewards[7] == told[1].rewards[0]
    np.testing.assert_array_equal(many.state[:, 7], one.state[:, 0])


def test_few_normal_cells_cost_and_limit_doses():
    env = Patients(COUNTS, 2)
    env.reset(seed=0)
    simulation = env.ward.simulation
    assert isinstance(simulation, TumorSimulation)
    simulation.state[1] = np.array([0.9 * (LOW + 0.02), 0.9 * (LOW - 0.02)])
    np.testing.assert_array_equal(
        simulation.allowed(), [[True] * 5, [True, True, True, False, False]]
    )
    simulation.state[2] = 0
    _, rewards, _, _, info = env.step(np.array([FULL, FULL]))
    np.testing.assert_array_equal(simulation.given, [1.0, 0.5])
    assert info["cost"][0] == 0
    assert (
        info["cost"][1] == 1
    )  # what was asked for is not allowed; the cells have recovered by the step's end
    np.testing.assert_allclose(rewards, [LOW + 0.02 - 1, LOW - 0.02 - 0.5])


def test_death_ends_the_episode():
    _, lengths, costs, metrics = episode(COUNTS, "untreated")
    assert metrics["survived"][0] == 0
    assert metrics["fewest_normal_cells"][0] < FATAL
    assert metrics["full_dose_days"][0] == 0
    # The tumor grows from 0.2 by 44 % in nine steps (RECIST), while normal cells are few from the
    # 56th on.
    assert metrics["progression_free_days"][0] == pytest.approx(2.25)
    assert costs[0] == lengths[0] - 55


def test_cohorts_are_different_patients_and_live_differently():
    sizes = {}
    for cohort in ("train", "held-out", "shifted"):
        simulation = TumorSimulation(TumorConfig(seen="counts", cohort=cohort), 400)
        simulation.admit(np.arange(400), np.random.default_rng(0))
        sizes[cohort] = simulation.table
    assert not np.intersect1d(sizes["train"]["s"], sizes["held-out"]["s"]).size
    assert abs(sizes["train"]["a2"].mean() / 0.3 - 1) < 0.02
    assert abs(sizes["shifted"]["a2"].mean() / 0.3 - 1) > 0.1
    _, _, _, train = episode(TumorConfig(seen="counts"), "full dose", 300)
    _, _, _, shifted = episode(TumorConfig(seen="counts", cohort="shifted"), "full dose", 300)
    assert train["survived"].mean() > 0.85
    assert shifted["survived"].mean() < 0.8


def test_a_tumor_covers_the_pixels_it_ought_to():
    anatomy = scans.anatomies(40, 1)
    still = np.random.default_rng(0)
    quiet = type(
        "Quiet", (), {"standard_normal": staticmethod(lambda shape, kind: np.zeros(shape, kind))}
    )()
    without = scans.phantom(anatomy, np.zeros(40), quiet).astype(float)
    np.testing.assert_array_equal(without[:, 0], anatomy.tissue)
    for tumor in (0.002, 0.05, 0.2, 0.5):
        bright = scans.phantom(anatomy, np.full(40, tumor), quiet)[:, 0].astype(float)
        share = (bright - anatomy.tissue) / (scans.LESION - anatomy.tissue)
        np.testing.assert_allclose(share.sum((1, 2)), scans.AREA * tumor, rtol=0.02, atol=0.1)
        assert bright[anatomy.tissue == scans.OUTSIDE].max() == scans.OUTSIDE
    noisy = scans.phantom(anatomy, np.zeros(40), still)[:, 0][anatomy.tissue == scans.BODY]
    assert noisy.std() / scans.BODY == pytest.approx(scans.SPECKLE, rel=0.02)


@pytest.mark.parametrize("tumor", [0.0, 0.03, 0.05, 0.1, 0.3])
def test_scans_can_be_measured(tumor):
    read = scans.measured(
        scans.phantom(scans.anatomies(40, 1), np.full(40, tumor), np.random.default_rng(0))
    )
    assert abs(read.mean() - tumor) < 0.012
    assert read.std() < 0.012


def test_a_scan_follows_its_own_patient():
    """Bodies differ between patients; a body stays the same, and its speckle does not."""
    env = Patients(TumorConfig(), 30)
    first, _ = env.reset(seed=0)
    assert first.shape == (30, 1, 64, 64)
    second = env.step(np.full(30, FULL))[0]
    changed = np.abs(second.astype(float) - first).mean((1, 2, 3))
    others = np.abs(np.roll(first, 1, 0).astype(float) - first).mean((1, 2, 3))
    assert (changed > 1).all()
    assert changed.mean() < 0.9 * others.mean()


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_threshold_rule_reads_scans_as_it_reads_counts(missing):
    """It stops no more than a week apart."""
    config = TumorConfig(cohort="published", missing=missing)
    by_scans = episode(config, "full dose while T > 0.05", 4)
    by_counts = episode(replace(config, seen="counts"), "full dose while T > 0.05", 4)
    assert (by_scans[3]["survived"] == 1).all()
    assert abs(by_scans[3]["full_dose_days"].mean() - by_counts[3]["full_dose_days"].mean()) < 7


def test_baselines_are_sensible_under_noise():
    config = TumorConfig(seen="counts", cohort="held-out", noise=0.2, missing=0.2, partial=True)
    threshold, care, untreated = (
        episode(config, name, 200)[0].mean()
        for name in ("full dose while T > 0.1", "standard of care", "untreated")
    )
    assert threshold > care > untreated


def test_same_seed_same_episode():
    def played(seed):
        env = Patients(TumorConfig(noise=0.1, missing=0.1), 3)
        seen = [env.reset(seed=seed)[0]]
        seen += [env.step(np.array([FULL, NONE, HALF]))[0] for _ in range(5)]
        return np.stack(seen)

    np.testing.assert_array_equal(played(5), played(5))
    assert (played(5) != played(6)).any()


@pytest.mark.parametrize("seen", ["scans", "counts"])
def test_gymnasium_and_stable_baselines3_accept_it(seen):
    checked = pytest.importorskip("stable_baselines3.common.env_checker")
    env = gymnasium.make("health/tumor-imaging-v0", seen=seen, render_mode="rgb_array")
    check_env(env.unwrapped)
    checked.check_env(env)


def test_a_picture_has_the_scan_beside_the_chart():
    pictures = []
    for seen in ("scans", "counts"):
        env = Patient(TumorConfig(seen=seen))  # pyright: ignore
        env.reset(seed=0)
        env.step(FULL)
        pictures.append(env.render())
    assert pictures[0].shape[0] == pictures[1].shape[0]
    assert pictures[0].shape[1] > pictures[1].shape[1] + scans.SIZE


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"step_hours": 0.5}, "step_hours"), ({"seen": "biopsies"}, "scans or counts")],
)
def test_mistakes_are_told(settings, message):
    with pytest.raises(ValueError, match=message):
        TumorConfig(**settings)
