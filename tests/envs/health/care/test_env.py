"""Episodes of care against the scores of the authors' program, and piece by piece."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import multivariate_normal

from agents.logged.episodes import Episodes, play
from envs.health.care.env import (
    CareEpisodeConfig,
    CareEpisodeSimulation,
    contraindicated,
    population,
    trial_probabilities,
)
from envs.health.care.structure import (
    DISEASES,
    SYMPTOM_COST,
    SYMPTOMS,
    TREATMENTS,
    VISITS,
    WORST,
    expected_rewards,
    spaced,
    stationary,
    structure,
)

WORLD = structure(1)


class Fixed:
    """Chance that always tells the same, for all alike."""

    def __init__(self, share: float) -> None:
        self.share = share

    def random(self, shape: Any) -> np.ndarray:
        return np.full(shape, self.share)

    def standard_normal(self, shape: Any) -> np.ndarray:
        return np.full(shape, self.share - 0.5)


def played(config: CareEpisodeConfig, name: str, episodes: int) -> Episodes:
    return play(config, lambda env: config.baselines()[name](env.ward.simulation), episodes, seed=0)


def admitted(patients: int, disease: int) -> CareEpisodeSimulation:
    """Average patients with this disease."""
    simulation = CareEpisodeSimulation(CareEpisodeConfig(cohort="published"), patients)
    simulation.admit(np.arange(patients), np.random.default_rng(0))
    simulation.diseases[:] = disease
    for modifier, average in zip(simulation.patients[1:], (1.0, 1.0, WORST, 0.0), strict=True):
        modifier[:] = average
    return simulation


@pytest.mark.parametrize(
    ("baseline", "score"),
    [("random", -6.1), ("SMART", 13.2), ("standard of care", 33.7), ("oracle", 92.2)],
)
def test_baselines_score_as_measured_with_the_authors_program(baseline: str, score: float) -> None:
    """Their mean score in 8 worlds, of 300 episodes each."""
    returns = np.stack(
        [
            played(CareEpisodeConfig(cohort="published", structure_seed=s), baseline, 500).returns()
            for s in range(1, 9)
        ]
    )
    deviation = returns.std(1).mean()
    error = 1.96 * deviation * np.sqrt(1 / returns.size + 1 / 2_400)
    assert returns.mean() == pytest.approx(score, abs=error)


@pytest.mark.parametrize("seed", [1, 5, 77])
def test_a_world_is_as_described(seed: int) -> None:
    world = structure(seed)
    np.testing.assert_array_equal(
        world.means[0], np.random.RandomState(seed).uniform(0, 2, SYMPTOMS)
    )
    deviations = np.sqrt(np.linalg.eigvalsh(world.factors @ world.factors.transpose(0, 2, 1)))
    assert ((deviations >= 1 - 1e-9) & (deviations <= 2 + 1e-9)).all()
    assert ((world.remission > 0).sum(0) >= 1).all(), "each treatment is for a disease"
    assert ((world.remission > 0).sum(1) >= 1).all(), "each disease has a treatment"
    assert ((world.remission == 0) | ((world.remission >= 0.8) & (world.remission <= 1))).all()
    assert ((world.costs >= 1) & (world.costs <= 4)).all()
    affected = (world.effects != 0).sum(1)
    assert affected.min() >= 1
    assert affected.max() < SYMPTOMS
    np.testing.assert_allclose(world.links.sum(1), 1)
    np.testing.assert_array_equal(world.links > 0, world.links.T > 0)


def test_shares_of_diseases_are_those_of_the_long_run() -> None:
    expected = np.full(DISEASES, 1 / DISEASES) @ np.linalg.matrix_power(WORLD.links, 10_000)
    np.testing.assert_allclose(WORLD.shares @ WORLD.links, WORLD.shares, atol=1e-12)
    np.testing.assert_allclose(WORLD.shares, expected, atol=1e-9)
    np.testing.assert_allclose(
        stationary(np.array([[0.9, 0.1, 0], [0.3, 0.7, 0], [0, 0, 1.0]])), [0.5, 1 / 6, 1 / 3]
    )


def test_rarer_visits_let_diseases_pass_more_often() -> None:
    np.testing.assert_allclose(spaced(WORLD.links, 1.0), WORLD.links)
    twice = spaced(WORLD.links, 2.0)
    np.testing.assert_allclose(twice.sum(1), 1)
    np.testing.assert_allclose(twice.diagonal(), WORLD.links.diagonal() ** 2)
    seldom = CareEpisodeConfig(step_hours=336).simulation(1)
    assert isinstance(seldom, CareEpisodeSimulation)
    np.testing.assert_array_equal(seldom.links, twice)


def test_adverse_events_are_as_likely_as_another_integral_says() -> None:
    for disease, treatment in ((0, 0), (7, 11)):
        covariance = WORLD.factors[disease] @ WORLD.factors[disease].T
        fine = multivariate_normal(WORLD.means[disease], covariance).cdf(
            logit(WORST) - WORLD.effects[treatment]
        )
        symptom_cost = SYMPTOM_COST * WORLD.means[disease].sum()
        rest = 64 * WORLD.remission[disease, treatment] - WORLD.costs[treatment] - symptom_cost
        assert expected_rewards(1)[disease, treatment] == pytest.approx(
            rest - 64 * (1 - fine), abs=0.05
        )


def test_remission_is_worth_what_was_published() -> None:
    disease = 3
    treatment = int(WORLD.remission[disease].argmax())
    simulation = admitted(1, disease)
    outcome = simulation.treat(np.array([treatment]), Fixed(0.5))  # pyright: ignore
    assert outcome.rewards[0] == pytest.approx(100 - WORLD.costs[treatment] * 100 / 64)
    assert outcome.terminated[0]
    metrics = simulation.metrics()
    assert (
        metrics["remission"][0],
        metrics["visits_to_remission"][0],
        metrics["adverse_event"][0],
    ) == (1, 1, 0)
    assert metrics["symptom_burden"][0] == pytest.approx(0.05)
    assert simulation.observe()[0, SYMPTOMS + treatment] == 1
    assert simulation.observe()[0, SYMPTOMS + TREATMENTS :].sum() == 0, "no disease is left"


def test_a_visit_without_remission_costs_treatment_and_symptoms() -> None:
    disease, useless = 3, int(WORLD.remission[3].argmin())
    simulation = admitted(1, disease)
    outcome = simulation.treat(np.array([useless]), Fixed(0.5))  # pyright: ignore
    passing = WORLD.links[disease] * WORLD.modifiers[useless]
    now = int(np.searchsorted(passing.cumsum(), 0.5 * passing.sum(), side="right"))
    assert simulation.diseases[0] == now
    symptoms = expit(WORLD.means[now] + WORLD.effects[useless])
    np.testing.assert_allclose(simulation.symptoms[0], symptoms)
    assert outcome.rewards[0] == pytest.approx(
        -(WORLD.costs[useless] + 0.5 * symptoms.sum()) * 100 / 64
    )
    assert not outcome.terminated[0]

    simulation.patients.worst[:] = symptoms.max() - 1e-6
    simulation.diseases[:] = disease
    harmed = simulation.treat(np.array([useless]), Fixed(0.5))  # pyright: ignore
    assert harmed.rewards[0] == pytest.approx(outcome.rewards[0] - 100)
    assert harmed.terminated[0]
    assert simulation.metrics()["adverse_event"][0] == 1
    assert np.isnan(simulation.metrics()["visits_to_remission"][0])


def test_remission_and_passing_are_as_likely_as_said() -> None:
    disease = 5
    treatment = int(WORLD.remission[disease].argmax())
    chance = WORLD.remission[disease, treatment]
    simulation = admitted(40_000, disease)
    simulation.patients.remission[:] = np.random.default_rng(0).uniform(
        0.25, 1.75, (40_000, TREATMENTS)
    )
    simulation.treat(np.full(40_000, treatment), np.random.default_rng(1))
    certainly = 1.75 - 1 / chance
    expected = (chance * (chance**-2 - 0.25**2) / 2 + certainly) / 1.5
    assert simulation.well.mean() == pytest.approx(expected, abs=0.008)

    useless = int(WORLD.remission[disease].argmin())
    simulation = admitted(40_000, disease)
    simulation.treat(np.full(40_000, useless), np.random.default_rng(1))
    passing = WORLD.links[disease] * WORLD.modifiers[useless]
    found = np.bincount(simulation.diseases, minlength=DISEASES) / 40_000
    np.testing.assert_allclose(found, passing / passing.sum(), atol=0.01)


def test_a_patient_evolves_among_others_as_alone() -> None:
    config = CareEpisodeConfig()
    many, alone = CareEpisodeSimulation(config, 5), CareEpisodeSimulation(config, 1)
    many.admit(np.arange(5), np.random.default_rng(0))
    alone.admit(np.arange(1), np.random.default_rng(1))
    for mine, theirs in zip(alone.patients, many.patients, strict=True):
        mine[:] = theirs[2]
    alone.diseases[:], alone.symptoms[:] = many.diseases[2], many.symptoms[2]
    for share, actions in (
        (0.95, [0, 1, 2, 3, 4]),
        (0.9, [9, 8, 7, 6, 5]),
        (0.99, [3, 3, 14, 3, 3]),
    ):
        told = many.treat(np.array(actions), Fixed(share))  # pyright: ignore
        outcome = alone.treat(np.array(actions[2:3]), Fixed(share))  # pyright: ignore
        assert outcome.rewards[0] == pytest.approx(told.rewards[2], rel=1e-12)
        assert outcome.costs[0] == told.costs[2]
        np.testing.assert_array_equal(alone.observe()[0], many.observe()[2])
    for name, values in alone.metrics().items():
        np.testing.assert_allclose(values[0], many.metrics()[name][2], err_msg=name)


def test_episodes_end_with_remission_an_adverse_event_or_the_last_visit() -> None:
    episodes = played(CareEpisodeConfig(), "random", 2_000)
    visits = episodes.alive.sum(0)
    well, harmed = episodes.metrics["remission"] == 1, episodes.metrics["adverse_event"] == 1
    assert episodes.terminated.all()
    assert visits.max() == VISITS
    assert not (well & harmed).any()
    assert (visits[~well & ~harmed] == VISITS).all()
    np.testing.assert_array_equal(episodes.metrics["visits_to_remission"][well], visits[well])
    assert np.isnan(episodes.metrics["visits_to_remission"][~well]).all()


def test_cohorts_are_other_patients_and_the_shifted_ones_fare_worse() -> None:
    tables = {
        cohort: CareEpisodeSimulation(CareEpisodeConfig(cohort=cohort), 1).table
        for cohort in ("train", "held-out")
    }
    assert tables["train"] is not None
    assert tables["held-out"] is not None
    assert (tables["train"].links != tables["held-out"].links).all()
    shares = np.bincount(tables["train"].diseases, minlength=DISEASES) / len(
        tables["train"].diseases
    )
    np.testing.assert_allclose(shares, WORLD.shares, atol=0.015)
    shifted = population(WORLD, "shifted", 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(shifted.diseases) / 20_000, 1 / DISEASES, atol=0.01)
    assert shifted.symptoms.mean() - tables["train"].symptoms.mean() == pytest.approx(0.5, abs=0.02)
    usual, worse = (
        played(CareEpisodeConfig(cohort=cohort), "SMART", 2_000)
        for cohort in ("held-out", "shifted")
    )
    assert worse.metrics["symptom_burden"].mean() > usual.metrics["symptom_burden"].mean() + 0.03
    assert worse.metrics["adverse_event"].mean() > usual.metrics["adverse_event"].mean()


def test_the_disease_is_seen_only_if_asked_for() -> None:
    hidden, seen = (
        CareEpisodeConfig(history=1).build_vector(50),
        CareEpisodeConfig(partial=False, history=1).build_vector(50),
    )
    assert (hidden.reset(seed=0)[0][:, SYMPTOMS:] == 0).all()
    observations, _ = seen.reset(seed=0)
    diseases = seen.ward.simulation.diseases  # pyright: ignore
    np.testing.assert_array_equal(observations[:, SYMPTOMS + TREATMENTS :].argmax(1), diseases)
    symptoms = observations[:, :SYMPTOMS]
    np.testing.assert_allclose(symptoms, symptoms.round(1), atol=1e-6)


def test_a_treatment_costs_where_it_worsens_what_is_bad_and_another_does_not() -> None:
    symptoms = np.zeros((2, SYMPTOMS))
    symptoms[0, 4] = 0.9
    np.testing.assert_array_equal(contraindicated(WORLD, symptoms)[0], WORLD.effects[:, 4] > 0)
    assert not contraindicated(WORLD, symptoms)[1].any()
    bad = np.ones((1, SYMPTOMS))
    assert not contraindicated(WORLD._replace(effects=np.abs(WORLD.effects)), bad).any(), (
        "nothing better is at hand"
    )
    assert (played(CareEpisodeConfig(), "cautious standard of care", 300).costs == 0).all()
    assert played(CareEpisodeConfig(), "standard of care", 300).costs.sum() > 0


def test_smart_and_the_soft_standard_of_care_may_take_any_treatment() -> None:
    smart = trial_probabilities(1)
    assert smart.max() / smart.min() == pytest.approx(8)
    assert smart.argmax() == (WORLD.shares @ expected_rewards(1)).argmax()
    soft = played(CareEpisodeConfig(), "soft standard of care", 200)
    probabilities = soft.probabilities[soft.alive]
    assert (probabilities >= 0.2 * smart - 1e-12).all()
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert len(np.unique(soft.actions[soft.alive])) == TREATMENTS


def test_the_standard_of_care_leaves_what_did_not_help_and_forgets_with_the_patient() -> None:
    policy = CareEpisodeConfig().baselines()["standard of care"](CareEpisodeConfig().simulation(1))
    order = (WORLD.shares @ expected_rewards(1)).argsort()[::-1]
    seen = np.zeros((1, SYMPTOMS + TREATMENTS + DISEASES))
    taken = [int(policy(seen, np.array([True])).argmax())]
    for _ in range(2):
        seen[0, :SYMPTOMS], seen[0, SYMPTOMS:] = 1.0, 0.0
        seen[0, SYMPTOMS + taken[-1]] = 1
        taken.append(int(policy(seen, np.array([False])).argmax()))
    assert taken == order[:3].tolist()
    assert policy(seen, np.array([True])).argmax() == order[0]


def test_baselines_withstand_errors_and_gaps() -> None:
    config = CareEpisodeConfig(noise=0.5, missing=0.2, history=2)
    chance = played(config, "random", 1_000).returns().mean()
    for name in (
        "SMART",
        "standard of care",
        "cautious standard of care",
        "soft standard of care",
        "Bayes",
    ):
        assert played(config, name, 1_000).returns().mean() > chance + 5, name


@pytest.mark.parametrize("settings", [{"step_hours": 1.0}, {"structure_seed": -1}])
def test_what_makes_no_sense_is_told(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        CareEpisodeConfig(**settings)


def test_what_was_asked_for_is_left_as_it_was() -> None:
    env = CareEpisodeConfig().build_vector(64)
    env.reset(seed=0)
    actions = np.arange(64) % TREATMENTS
    for _ in range(VISITS):
        env.step(actions)
    np.testing.assert_array_equal(actions, np.arange(64) % TREATMENTS)


def test_the_return_of_random_actions_is_given_for_the_task_that_it_was_measured_on() -> None:
    assert CareEpisodeConfig(noise=0.2, partial=True).reference_scores == {"random": 1.7}
    assert CareEpisodeConfig(structure_seed=99).reference_scores == {}
    assert CareEpisodeConfig(cohort="held-out").reference_scores == {}
    assert CareEpisodeConfig(cost_weight=0.1).reference_scores == {}
