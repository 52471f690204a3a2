"""What all treatments share: new patients, errors and gaps in what is seen, and both of gymnasium's
interfaces."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_stable_baselines

from agents.networks.packing import Packing
from envs.health import TREATMENTS
from envs.health.core.cohorts import population
from envs.health.core.policies import always, one_hot, random_policy, read
from envs.health.core.treatment import Patient, Patients, Ward
from envs.health.hiv_sti import HivConfig, cycle


def actions_of(env: Patients, seed: int, steps: int) -> list[Any]:
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(steps)]


def seen(env: Patients, actions: Sequence[Any], seed: int) -> np.ndarray:
    observations = [env.reset(seed=seed)[0]]
    return np.stack(observations + [env.step(action)[0] for action in actions])


@pytest.mark.parametrize("slug", TREATMENTS)
def test_gymnasium_and_stable_baselines_accept_them(slug: str) -> None:
    env = gymnasium.make(f"health/{slug}-v0", render_mode="rgb_array")
    check_env(env.unwrapped)
    check_for_stable_baselines(env.unwrapped)
    env.reset(seed=0)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert picture.std() > 5, "a chart must show something"


@pytest.mark.parametrize("slug", TREATMENTS)
def test_no_two_actions_give_the_same(slug: str) -> None:
    simulation = TREATMENTS[slug]().simulation(1)
    space, given = simulation.action_space, np.stack(list(simulation.doses.values()))
    if isinstance(space, gymnasium.spaces.Discrete):
        assert len(np.unique(given, axis=1).T) == space.n
    else:
        assert len(given) == space.shape[0]
        assert (np.diff(given) > 0).all()


@pytest.mark.parametrize("slug", TREATMENTS)
def test_the_seed_decides_everything(slug: str) -> None:
    settings = {"sepsis-icu": {"observed": "features"}, "tumor-imaging": {"seen": "scans"}}.get(
        slug, {}
    )
    env = Patients(TREATMENTS[slug](noise=0.1, missing=0.1, **settings), 3)
    actions = actions_of(env, 0, 6)
    first = seen(env, actions, 5)
    np.testing.assert_array_equal(first, seen(env, actions, 5))
    assert (first != seen(env, actions, 6)).any()


@pytest.mark.parametrize("slug", TREATMENTS)
def test_a_discharged_patient_is_followed_by_a_new_one_and_told_of(slug: str) -> None:
    env = Patients(TREATMENTS[slug](), 2)
    env.reset(seed=0)
    random = np.random.default_rng(0)
    policy = TREATMENTS[slug]().baselines()["random"](env.ward.simulation)
    observations, first = env.ward.observations(), np.ones(2, np.bool_)
    for _ in range(5_000):
        decided = policy(observations, first)
        doses = isinstance(env.single_action_space, gymnasium.spaces.Box)
        actions = (
            decided if doses else np.array([random.choice(len(row), p=row) for row in decided])
        )
        observations, rewards, terminated, truncated, info = env.step(actions)
        first = terminated | truncated
        assert np.isfinite(rewards).all()
        assert (info["cost"] >= 0).all()
        if first.any():
            break
    assert first.any(), "an episode must end"
    n = int(np.flatnonzero(first)[0])
    metrics = info["final_info"]["episode_metrics"]
    assert len([name for name in metrics if name[0] != "_"]) >= 3, (
        "clinicians ask for more than a return"
    )
    assert (info["final_obs"][n] != observations[n]).any()


@pytest.mark.parametrize("slug", TREATMENTS)
def test_every_treatment_has_the_baselines_that_reviewers_ask_for(slug: str) -> None:
    baselines = TREATMENTS[slug]().baselines()
    assert {"random", "untreated"} <= baselines.keys()
    assert len(baselines) >= 4
    env = Patients(TREATMENTS[slug](), 4)
    observations, _ = env.reset(seed=0)
    for name, made in baselines.items():
        decided = made(env.ward.simulation)(observations, np.ones(4, np.bool_))
        if isinstance(env.single_action_space, gymnasium.spaces.Discrete):
            assert decided.shape == (4, env.single_action_space.n), name
            np.testing.assert_allclose(decided.sum(1), 1, err_msg=name)
        else:
            assert all(
                env.single_action_space.contains(row.astype(np.float32)) for row in decided
            ), name


@pytest.mark.parametrize("slug", TREATMENTS)
def test_cohorts_differ(slug: str) -> None:
    reached = {}
    for cohort in ("train", "held-out", "shifted"):
        env = Patients(TREATMENTS[slug](cohort=cohort), 16)
        reached[cohort] = seen(env, actions_of(env, 0, 5), 0)
    assert (reached["train"] != reached["held-out"]).any()
    assert (reached["train"] != reached["shifted"]).any()


def test_errors_are_as_large_as_said_and_gaps_repeat_what_was_read() -> None:
    config = HivConfig(noise=0.5)
    ward, plain = Ward(config, 4_000), HivConfig().simulation(1)
    ward.admit(np.arange(4_000), np.random.default_rng(0))
    plain.admit(np.arange(1), np.random.default_rng(0))
    errors = ward.observations() - plain.observe()
    np.testing.assert_allclose(errors.std(0), 0.5 * ward.simulation.spread, rtol=0.05)

    ward = Ward(HivConfig(missing=0.3), 2_000)
    random = np.random.default_rng(0)
    ward.admit(np.arange(2_000), random)
    before = ward.observations()
    ward.treat(np.zeros(2_000, np.int64), random)
    assert (ward.observations() == before).mean() == pytest.approx(0.3, abs=0.02)


def test_what_a_clinic_does_not_have_is_hidden_and_what_was_seen_before_stands_beside() -> None:
    ward = Ward(HivConfig(partial=True, history=3), 1)
    random = np.random.default_rng(0)
    ward.admit(np.arange(1), random)
    newest = ward.observations()[0, 12:]
    assert (ward.observations()[0, :12] == 0).all()
    assert ((newest == 0) == ward.simulation.hidden).all()
    ward.treat(np.array([3]), random)
    np.testing.assert_array_equal(ward.observations()[0, 6:12], newest)
    assert read(ward.simulation.names, ward.observations())["log10 V"] == ward.observations()[0, 16]
    ward.admit(np.arange(1), random)
    assert (ward.observations()[0, :12] == 0).all()


def test_what_is_not_allowed_is_replaced_and_costs() -> None:
    class Guarded(type(HivConfig().simulation(1))):
        def allowed(self) -> np.ndarray:
            return np.array([[True, True, False, False]] * 2)

        def fallback(self) -> np.ndarray:
            return np.array([1, 1])

    ward = Ward(HivConfig(), 2)
    ward.simulation = Guarded(HivConfig(), 2)
    random = np.random.default_rng(0)
    ward.admit(np.arange(2), random)
    outcome = ward.treat(np.array([0, 3]), random)
    assert outcome.costs.tolist() == [0, 1]
    assert ward.simulation.given[0].tolist() == [0.0, 0.7]
    assert ward.metrics()["cost"].tolist() == [0, 1]


def test_one_patient_and_many_are_told_the_same() -> None:
    one, many = Patient(HivConfig()), Patients(HivConfig(), 1)
    alone, _ = one.reset(seed=3)
    together, _ = many.reset(seed=3)
    np.testing.assert_array_equal(alone, together[0])
    for action in (3, 0, 1, 2):
        alone, reward, *_ = one.step(action)
        together, rewards, *_ = many.step(np.array([action]))
        np.testing.assert_array_equal(alone, together[0])
        assert reward == rewards[0]


def test_policies() -> None:
    simulation = HivConfig().simulation(2)
    seen, first = np.zeros((2, 6)), np.array([True, True])
    assert always(2)(simulation)(seen, first).tolist() == [[0, 0, 1, 0]] * 2
    assert random_policy(simulation)(seen, first).tolist() == [[0.25] * 4] * 2
    assert one_hot(np.array([1, 0]), 2).tolist() == [[0, 1], [1, 0]]
    policy = cycle(1, 1)(simulation)
    taken = [
        policy(seen, np.array([step == 0, step in (0, 1)])).argmax(1).tolist() for step in range(3)
    ]
    assert taken == [[3, 3], [0, 3], [3, 0]], "each patient has a clock"


def test_a_population_varies_as_said() -> None:
    published, varying = {"a": 2.0, "b": 3.0}, {"a": 0.2}
    assert {
        name: column.tolist()
        for name, column in population(published, varying, "published").items()
    } == {
        "a": [2.0],
        "b": [3.0],
    }
    train, other = (
        population(published, varying, cohort, 20_000) for cohort in ("train", "held-out")
    )
    for table in (train, other):
        assert np.log(table["a"]).std() == pytest.approx(0.2, rel=0.05)
        assert np.median(table["a"]) == pytest.approx(2.0, rel=0.02)
        assert (table["b"] == 3.0).all()
    assert (train["a"] != other["a"]).all()
    shifted = population(published, varying, "shifted", 20_000)
    assert abs(np.log(np.median(shifted["a"]) / 2.0)) == pytest.approx(np.log(1.25), abs=0.02)
    assert np.log(shifted["a"]).std() == pytest.approx(0.4, rel=0.05)


@pytest.mark.parametrize(
    "settings", [{"noise": -0.1}, {"missing": 1.0}, {"history": 0}, {"step_hours": 0.0}]
)
def test_what_makes_no_sense_is_told(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        HivConfig(**settings)


@pytest.mark.parametrize("slug", ["sepsis-icu", "tumor-imaging", "warfarin-pgx"])
def test_a_mask_says_what_the_rules_allow(slug: str) -> None:
    env = Patients(TREATMENTS[slug](action_mask=True), 30)
    random = np.random.default_rng(0)
    observations: Any = env.reset(seed=0)[0]
    finished = 0
    for _ in range(60):
        assert env.observation_space.contains(observations)
        possible = observations["action_mask"] != 0
        np.testing.assert_array_equal(possible.any(1), True)
        np.testing.assert_array_equal(possible, env.ward.simulation.allowed())
        chosen = np.array([random.choice(np.flatnonzero(row)) for row in possible])
        observations, _, terminated, truncated, info = env.step(chosen)
        over = terminated | truncated
        if over.any():
            last = info["final_obs"][np.flatnonzero(over)[0]]
            assert env.single_observation_space.contains(last)
            finished += 1
    assert finished


@pytest.mark.parametrize("slug", TREATMENTS)
def test_a_mask_without_rules_or_beside_errors_is_refused(slug: str) -> None:
    treatment = TREATMENTS[slug]
    told = r"allows every action; leave out --env\.action-mask|leave out noise, missing and partial"
    if treatment().simulation(1).allowed() is None:
        with pytest.raises(ValueError, match=told):
            treatment(action_mask=True).build()
    with pytest.raises(ValueError, match="leave out noise, missing and partial, or action_mask"):
        treatment(action_mask=True, noise=0.1)


def test_a_mask_changes_neither_what_is_seen_nor_what_rules_decide() -> None:
    plain = TREATMENTS["sepsis-icu"]()
    masked = TREATMENTS["sepsis-icu"](action_mask=True)
    envs = [Patients(config, 40) for config in (plain, masked)]
    seen: Any = [env.reset(seed=3)[0] for env in envs]
    np.testing.assert_array_equal(seen[0], seen[1]["observation"])
    rules = [
        config.baselines()["clinicians"](env.ward.simulation)
        for config, env in zip((plain, masked), envs, strict=True)
    ]
    packed = Packing(envs[1].single_observation_space).pack(seen[1])
    first = np.ones(40, np.bool_)
    np.testing.assert_array_equal(rules[0](seen[0], first), rules[1](packed, first))
