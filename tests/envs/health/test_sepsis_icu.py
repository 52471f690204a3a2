"""Sepsis against exact values, and what is simulated against both."""

import sys

import numpy as np
import pytest

from agents.logged.episodes import Episodes, play
from envs.health.core.tabular import expected_return, optimal_policy, visits
from envs.health.sepsis_icu import (
    BEDSIDE,
    DEATH,
    READINGS,
    STATES,
    SURVIVAL,
    SepsisConfig,
    SepsisSimulation,
    readings,
    risk,
    tables,
)

CHANCE = np.full((STATES, 25), 1 / 25)
UNTREATED = np.eye(25)[np.zeros(STATES, np.int64)]


def exact(policy: str, config: SepsisConfig = SepsisConfig()) -> float:  # noqa: B008
    model = config.model()
    policies = {
        "random": lambda: CHANCE,
        "untreated": lambda: UNTREATED,
        "clinicians": lambda: tables().clinicians,
        "oracle": lambda: optimal_policy(tables().model, allowed=tables().admissible),
    }
    return expected_return(model, policies[policy]())


def treated(config: SepsisConfig, policy: str, episodes: int = 2_000, seed: int = 0) -> Episodes:
    return play(config, lambda env: config.baselines()[policy](env.ward.simulation), episodes, seed)


def assert_survival(played: Episodes, truth: float) -> None:
    """Within four standard errors."""
    assert abs(played.returns().mean() - truth) < 4 * np.sqrt(truth * (1 - truth) / len(played))


@pytest.mark.parametrize(
    ("policy", "survival"),
    [("random", 0.7801), ("untreated", 0.7824), ("clinicians", 0.7818), ("oracle", 0.8751)],
)
def test_survival_is_exactly_what_was_measured_before(policy: str, survival: float) -> None:
    assert exact(policy) == pytest.approx(survival, abs=5e-5)


def test_stays_are_as_long_as_published() -> None:
    """Choudhary et al. 2024, table of baselines: 9.45, 9.22 and 10.99 steps, of 100,000 stays or
    so."""
    model = tables().model
    best = optimal_policy(model, allowed=tables().admissible)
    for policy, steps in ((CHANCE, 9.45), (tables().clinicians, 9.22), (best, 10.99)):
        assert visits(model, policy)[:DEATH].sum() == pytest.approx(steps, abs=0.03)


def test_an_action_that_is_not_admissible_is_the_mean_of_those_that_are() -> None:
    admissible, probabilities = (
        tables().admissible,
        tables().model.transitions.toarray().reshape(STATES, 25, STATES),
    )
    for state in range(0, DEATH, 50):
        others = probabilities[state, ~admissible[state]]
        mean = np.tile(probabilities[state, admissible[state]].mean(0), (len(others), 1))
        np.testing.assert_allclose(others, mean, atol=1e-12)


@pytest.mark.parametrize("policy", ["random", "untreated", "clinicians", "oracle"])
def test_simulated_survival_and_stay_agree_with_exact_ones(policy: str) -> None:
    played = treated(SepsisConfig(observed="features"), policy)
    assert_survival(played, exact(policy))
    np.testing.assert_array_equal(played.metrics["survival"], played.returns())
    np.testing.assert_allclose(played.metrics["stay_days"], played.alive.sum(0) / 6)


def test_the_cost_is_how_often_an_action_was_not_admissible() -> None:
    model, table = tables().model, tables().clinicians
    expected = visits(model, table)[:DEATH] @ (table * ~tables().admissible)[:DEATH].sum(1)
    played = treated(SepsisConfig(observed="features"), "clinicians")
    assert played.metrics["cost"].mean() == pytest.approx(expected, rel=0.1)
    assert treated(SepsisConfig(), "oracle", episodes=200).metrics["cost"].sum() == 0


def test_an_eight_hour_step_does_the_action_twice() -> None:
    """Random actions, or what replaced them, each kept for two transitions: worked out with all
    their matrices."""
    model, admissible = tables().model, tables().admissible
    probabilities = model.transitions.toarray().reshape(STATES, 25, STATES)
    share = admissible * (1 / 25 + (~admissible).mean(1) / admissible.sum(1))[:, None]
    np.testing.assert_allclose(share.sum(1), 1)
    twice, rewards = np.zeros((STATES, STATES)), np.zeros(STATES)
    for action in range(25):
        matrix = probabilities[:, action]
        twice += share[:, action, None] * (matrix @ matrix)
        rewards += share[:, action] * (model.rewards[:, action] + matrix @ model.rewards[:, action])
    truth = float(model.start @ np.linalg.solve(np.eye(STATES) - twice, rewards))
    played = treated(SepsisConfig(observed="features", step_hours=8), "random")
    assert_survival(played, truth)
    steps = played.metrics["stay_days"] * 6
    np.testing.assert_array_equal(played.alive.sum(0), np.ceil(steps / 2))
    assert (steps % 2).any()


def test_what_is_not_admissible_is_replaced_by_each_admissible_action_as_often() -> None:
    simulation = SepsisConfig().simulation(6_000)
    simulation.admit(np.arange(6_000), np.random.default_rng(0))
    assert isinstance(simulation, SepsisSimulation)
    simulation.states[:] = state = int(np.flatnonzero(tables().admissible.sum(1) == 4)[0])
    simulation.substitutes = simulation._admissible(np.arange(6_000), np.random.default_rng(1))
    counts = np.bincount(simulation.fallback(), minlength=25)
    np.testing.assert_array_equal(counts > 0, tables().admissible[state])
    assert np.abs(counts[counts > 0] - 1_500).max() < 5 * np.sqrt(6_000 * 3 / 16)


def test_cohorts_are_admitted_in_different_states() -> None:
    start = {
        cohort: SepsisConfig(cohort=cohort).model().start
        for cohort in ("published", "train", "held-out", "shifted")
    }
    for admitted in start.values():
        assert admitted.sum() == pytest.approx(1)
    assert not (start["train"] * start["held-out"]).any()
    np.testing.assert_array_equal((start["train"] + start["held-out"]) > 0, start["published"] > 0)
    assert start["published"][start["held-out"] > 0].sum() == pytest.approx(0.2, abs=0.05)
    assert start["published"][start["shifted"] > 0].sum() == pytest.approx(0.25, abs=0.01)
    assert (
        tables().sofa[start["shifted"] > 0].min()
        >= tables().sofa[(start["shifted"] == 0) & (start["published"] > 0)].max()
    )
    exact_by_cohort = {cohort: exact("clinicians", SepsisConfig(cohort=cohort)) for cohort in start}
    assert exact_by_cohort["shifted"] < exact_by_cohort["published"] - 0.04
    shifted = SepsisConfig(cohort="shifted", observed="features")
    assert_survival(treated(shifted, "clinicians"), exact_by_cohort["shifted"])


def test_clinicians_know_the_state_by_its_readings() -> None:
    """By those at the bedside alone, unless these have errors; then worse the larger they are."""
    config = SepsisConfig(observed="features")
    simulation = config.simulation(DEATH)
    policy = config.baselines()["clinicians"](simulation)
    first = np.ones(DEATH, np.bool_)
    for hidden in (np.zeros(48, np.bool_), simulation.hidden):
        seen = np.where(hidden, 0, readings("features")[:DEATH])
        np.testing.assert_allclose(policy(seen, first), tables().clinicians[:DEATH])
    likely = []
    for noise in (0.1, 0.5, 2.0):
        error = noise * simulation.spread * np.random.default_rng(0).standard_normal((DEATH, 48))
        chosen = policy(readings("features")[:DEATH] + error, first)
        likely.append((chosen == tables().clinicians[:DEATH]).all(1).mean())
    assert likely[0] > 0.95 > likely[1] > likely[2]
    by_state = SepsisConfig().baselines()["clinicians"](SepsisConfig().simulation(DEATH))
    np.testing.assert_allclose(by_state(np.eye(STATES)[:DEATH], first), tables().clinicians[:DEATH])


def test_clinicians_are_no_better_than_chance_but_not_worse_where_readings_fail() -> None:
    config = SepsisConfig(observed="features", partial=True, noise=0.3, missing=0.3)
    assert_survival(treated(config, "clinicians"), exact("clinicians"))


def test_a_state_is_seen_as_one_of_716_and_its_readings_as_the_package_has_them() -> None:
    for observed in ("state", "features"):
        env = SepsisConfig(observed=observed).build()
        seen, _ = env.reset(seed=3)
        state = env.ward.simulation.states[0]  # pyright: ignore
        assert env.observation_space.contains(seen)
        if observed == "state":
            np.testing.assert_array_equal(np.flatnonzero(seen), [state])
        else:
            np.testing.assert_allclose(seen[:47], tables().centers[state], rtol=1e-6)
            assert seen[47] == pytest.approx(tables().sofa[state])


def test_what_is_admissible_can_be_seen_and_what_is_not_be_charged() -> None:
    config = SepsisConfig(show_admissible=True, cost_weight=0.05)
    env = config.build_vector(300)
    seen, info = env.reset(seed=0)
    np.testing.assert_array_equal(seen[:, STATES:], info["action_mask"])
    seen_before = seen
    seen, rewards, terminated, _, info = env.step(np.full(300, 7))
    survived = terminated & (info["final_info"]["episode_metrics"]["survival"] == 1)
    np.testing.assert_allclose(
        rewards, survived - 0.05 * (1 - seen_before[:, STATES + 7]), atol=1e-12
    )
    assert (rewards < 0).any()
    assert survived.any()
    by_state = config.baselines()["clinicians"](env.ward.simulation)  # pyright: ignore
    np.testing.assert_allclose(
        by_state(readings("state", True)[:DEATH], np.ones(DEATH, np.bool_)),
        tables().clinicians[:DEATH],
    )
    assert config.reference_scores == {}


def test_readings_have_their_names() -> None:
    """The standardized SOFA goes with the points; what organs' failure raises or lowers, with its
    sign."""
    assert len(READINGS) == len(set(READINGS)) == 47
    assert set(BEDSIDE) < set(READINGS)
    together = dict(
        zip(
            READINGS,
            np.corrcoef(tables().centers[:DEATH].T, tables().sofa[:DEATH])[-1],
            strict=False,
        )
    )
    assert together["SOFA"] > 0.99
    assert (
        min(together[name] for name in ("Creatinine", "Total_bili", "max_dose_vaso", "mechvent"))
        > 0.2
    )
    assert (
        max(
            together[name]
            for name in ("GCS", "MeanBP", "Platelets_count", "PaO2_FiO2", "output_total")
        )
        < -0.2
    )
    pressures = [
        tables().centers[:DEATH, READINGS.index(name)]
        for name in ("SysBP", "MeanBP", "DiaBP", "Shock_Index")
    ]
    signs = np.corrcoef(pressures)[1]
    assert signs[0] > 0.8
    assert signs[2] > 0.8
    assert signs[3] < -0.3


def test_the_risk_is_that_of_death() -> None:
    assert tables().model.start @ risk() == pytest.approx(1 - 0.7818, abs=5e-5)
    assert np.corrcoef(risk()[:DEATH], tables().sofa[:DEATH])[0, 1] > 0.3


def test_the_same_seed_gives_the_same_patients_and_another_others() -> None:
    seen = []
    for seed in (4, 4, 5):
        env = SepsisConfig().build_vector(20)
        first, _ = env.reset(seed=seed)
        seen.append(np.stack([first, *(env.step(np.full(20, action))[0] for action in range(25))]))
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_a_patient_who_died_stays_dead_without_reward() -> None:
    simulation = SepsisConfig().simulation(2)
    simulation.admit(np.arange(2), np.random.default_rng(0))
    assert isinstance(simulation, SepsisSimulation)
    simulation.states[:] = DEATH, SURVIVAL
    outcome = simulation.treat(np.zeros(2, np.int64), np.random.default_rng(0))
    np.testing.assert_array_equal(simulation.states, [DEATH, SURVIVAL])
    np.testing.assert_array_equal(outcome.rewards, 0)
    assert outcome.terminated.all()


def test_a_stay_without_end_is_cut_off() -> None:
    simulation = SepsisConfig(step_hours=24).simulation(1)
    simulation.admit(np.arange(1), np.random.default_rng(0))
    assert isinstance(simulation, SepsisSimulation)
    simulation.draw = lambda states, actions, random: states
    cut = [
        simulation.treat(np.zeros(1, np.int64), np.random.default_rng(0)).truncated[0]
        for _ in range(84)
    ]
    assert cut == [False] * 83 + [True]
    assert np.isnan(simulation.metrics()["survival"][0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_hours": 6}, "4, 8, 12"),
        ({"noise": 0.1}, "set observed to features"),
        ({"partial": True}, "set observed to features"),
        ({"observed": "features", "show_admissible": True, "missing": 0.1}, "show_admissible off"),
        ({"cost_weight": -1.0}, "cost_weight must be a number from 0 to"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SepsisConfig(**settings)


def test_the_package_is_not_imported_and_its_lack_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables()
    assert "icu_sepsis" not in sys.modules
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"praxis-rl\[health\]") as caught:
        tables.__wrapped__()
    assert "\n" not in str(caught.value)
