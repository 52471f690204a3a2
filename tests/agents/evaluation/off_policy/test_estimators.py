"""Estimators against numbers worked out by hand, against plain loops, and against what must hold
for any log."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from agents.evaluation.off_policy.estimators import (
    ESTIMATORS,
    Trajectories,
    _blended,
    _least_on_simplex,
    doubly_robust,
    importance_sampling,
    magic,
    per_decision,
    trajectories,
    weighted_doubly_robust,
    weighted_importance_sampling,
    weighted_per_decision,
)
from tests.agents.evaluation.off_policy.tiny_mdp import TinyMDP, target_of

IMPORTANCE = ("IS", "WIS", "PDIS", "weighted PDIS")


def once(log: Trajectories) -> NDArray[np.float64]:
    return np.ones((1, len(log)))


def by_hand() -> Trajectories:
    """Two episodes: ratios 2 and 1/2 with rewards 1 and 4; ratio 1/2 with reward 2, after which it
    is over. Discount 1/2; a model that says q = 1, 2 and 3, v = 2, 1 and 1."""
    return trajectories(
        rewards=np.array([[1.0, 2.0], [4.0, 9.0]]),
        alive=np.array([[True, True], [True, False]]),
        behavior=np.array([[0.4, 0.8], [0.6, 0.0]]),
        target=np.array([[0.8, 0.4], [0.3, 0.7]]),
        q=np.array([[1.0, 3.0], [2.0, 9.0]]),
        v=np.array([[2.0, 1.0], [1.0, 9.0]]),
        discount=0.5,
    )


def test_two_episodes_by_hand() -> None:
    """Weights 2, then 1, and 1/2, which stays; returns 1 + 4/2 = 3 and 2."""
    log = by_hand()
    np.testing.assert_allclose(np.exp(log.log_weights), [[2, 0.5], [1, 0.5]])
    assert importance_sampling(log, once(log)) == pytest.approx((1 * 3 + 0.5 * 2) / 2)
    assert weighted_importance_sampling(log, once(log)) == pytest.approx((1 * 3 + 0.5 * 2) / 1.5)
    assert per_decision(log, once(log)) == pytest.approx((2 * 1 + 0.5 * 1 * 4 + 0.5 * 2) / 2)
    assert weighted_per_decision(log, once(log)) == pytest.approx(
        (2 * 1 + 0.5 * 2) / 2.5 + 0.5 * (1 * 4) / 1.5
    )
    # DR by Jiang and Li's recursion: of the first episode v1 = 1 + (4 - 2)/2 = 2, v0 = 2 + 2 (1 +
    # v1/2 - 1) = 4; of the second 1 + (2 - 3)/2 = 1/2.
    assert doubly_robust(log, once(log)) == pytest.approx((4 + 0.5) / 2)
    # Weighted DR: shares 2/2.5 and .5/2.5 at the first step, 1/1.5 and .5/1.5 at the second; before
    # them 1/2 and 1/2.
    first = 0.8 * (1 - 1) + 0.2 * (2 - 3) + 0.5 * 2 + 0.5 * 1
    second = 1 / 1.5 * (4 - 2) + 0.8 * 1
    assert weighted_doubly_robust(log, once(log)) == pytest.approx(first + 0.5 * second)
    assert ESTIMATORS["direct method"](log, once(log)) == pytest.approx(1.5)


def test_doubly_robust_is_the_published_recursion() -> None:
    """Jiang and Li 2016, equation 10, episode by episode from its end."""
    log, ratios = drawn_log(7)
    expected = []
    for episode in range(len(log)):
        value = 0.0
        for step in reversed(range(len(log.rewards))):
            q, v, reward = (column[step, episode] for column in (log.q, log.v, log.rewards))
            value = v + ratios[step, episode] * (reward + log.discount * value - q)
        expected.append(value)
    assert doubly_robust(log, once(log)) == pytest.approx(np.mean(expected))


def test_magic_is_the_published_blend() -> None:
    """Thomas and Brunskill 2016, section 6, with loops, and a general optimizer for the blend."""
    log, _ = drawn_log(3, episodes=40)
    number, steps = len(log), len(log.rewards)
    weights = np.exp(log.log_weights)
    share = weights / weights.sum(1, keepdims=True)
    before = np.vstack([np.full((1, number), 1 / number), share[:-1]])
    parts = np.zeros((steps + 1, number))
    for j in range(-1, steps):
        for t in range(j + 1):
            parts[j + 1] += log.discount**t * (
                share[t] * (log.rewards[t] - log.q[t]) + before[t] * log.v[t]
            )
        if j + 1 < steps:
            parts[j + 1] += log.discount ** (j + 1) * before[j + 1] * log.v[j + 1]
    partial = parts.sum(1)
    assert partial[0] == pytest.approx(log.v[0].mean())
    assert partial[-1] == pytest.approx(weighted_doubly_robust(log, once(log))[0])
    low, high = partial[-1] - 0.05, partial[-1] + 0.03
    bias = np.where(partial > high, partial - high, np.where(partial < low, partial - low, 0))
    matrix = np.cov(parts) * number + np.outer(bias, bias)
    found = minimize(
        lambda x: x @ matrix @ x,
        np.full(steps + 1, 1 / (steps + 1)),
        bounds=[(0, 1)] * (steps + 1),
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        tol=1e-14,
    )
    assert _blended(log, once(log)[0], low, high) == pytest.approx(
        float(found.x @ partial), abs=1e-4
    )


def test_magic_is_between_the_model_and_weighted_dr() -> None:
    mdp = TinyMDP.random(1)
    behavior, target = mdp.policy(2), mdp.policy(3)
    played = mdp.play(behavior, 500, 4)
    q = mdp.q(target, 0.9)
    exact = tiny_trajectories(mdp, played, behavior, target, q)
    truth = mdp.value(target, 0.9)
    # A right model has less variance and no bias: nearly all weight is its own.
    assert magic(exact, once(exact))[0] == pytest.approx(exact.v[0].mean(), abs=0.02)
    assert magic(exact, once(exact))[0] == pytest.approx(truth, abs=0.15)
    # A model that is wrong by 5 is found out, and left aside.
    wrong = tiny_trajectories(mdp, played, behavior, target, q + 5)
    assert abs(magic(wrong, once(wrong))[0] - truth) < 1 < abs(wrong.v[0].mean() - truth)


@given(st.integers(0, 10_000), st.integers(2, 7))
def test_the_blend_is_the_best_of_the_simplex(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    root = random.normal(size=(size, size))
    matrix = root @ root.T
    best = _least_on_simplex(matrix)
    assert best.sum() == pytest.approx(1)
    assert (best >= 0).all()
    others = random.dirichlet(np.full(size, 0.3), 300)
    assert (np.einsum("ni,ij,nj->n", others, matrix, others) >= best @ matrix @ best - 1e-9).all()


@given(st.integers(0, 10_000))
def test_where_both_policies_are_one_all_weights_are(seed: int) -> None:
    log, _ = drawn_log(seed)
    same = Trajectories(log.rewards, np.zeros_like(log.rewards), log.q * 0, log.v * 0, log.discount)
    mean = (same.discounts * same.rewards).sum(0).mean()
    for name in (*IMPORTANCE, "DR", "weighted DR"):
        assert ESTIMATORS[name](same, once(same)) == pytest.approx(mean), name


@given(st.integers(0, 10_000))
def test_without_a_model_dr_is_per_decision_importance_sampling(seed: int) -> None:
    log, _ = drawn_log(seed)
    bare = Trajectories(log.rewards, log.log_weights, log.q * 0, log.v * 0, log.discount)
    assert doubly_robust(bare, once(bare)) == pytest.approx(per_decision(bare, once(bare)))
    assert weighted_doubly_robust(bare, once(bare)) == pytest.approx(
        weighted_per_decision(bare, once(bare))
    )


@given(st.integers(0, 10_000))
def test_wis_is_within_the_returns_that_were_seen(seed: int) -> None:
    log, _ = drawn_log(seed)
    returns = (log.discounts * log.rewards).sum(0)
    assert (
        returns.min() - 1e-9
        <= weighted_importance_sampling(log, once(log))[0]
        <= returns.max() + 1e-9
    )


@given(st.integers(0, 10_000))
def test_an_episode_counted_twice_is_two_episodes(seed: int) -> None:
    """What a bootstrap relies on, of every estimator; MAGIC's interval is of all episodes, so it
    comes near only."""
    log, _ = drawn_log(seed, episodes=12)
    counts = np.random.default_rng(seed).integers(0, 3, (3, 12)).astype(float) + np.eye(12)[:3]
    for name, estimator in ESTIMATORS.items():
        if name == "MAGIC":
            continue
        for row, found in zip(counts, estimator(log, counts), strict=True):
            rows = np.repeat(np.arange(12), row.astype(int))
            columns = (c[:, rows] for c in (log.rewards, log.log_weights, log.q, log.v))
            told = Trajectories(*columns, log.discount)
            assert estimator(told, once(told))[0] == pytest.approx(found, rel=1e-6), name
    rows = np.repeat(np.arange(12), counts[0].astype(int))
    columns = (c[:, rows] for c in (log.rewards, log.log_weights, log.q, log.v))
    told = Trajectories(*columns, log.discount)
    expected = _blended(told, np.ones(len(rows)), -1, 1)
    assert _blended(log, counts[0], -1, 1) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_variance_order_and_no_bias() -> None:
    """400 logs of 60 episodes: IS varies more than PDIS, PDIS more than DR with the exact Q; their
    means are the truth within four standard errors."""
    mdp = TinyMDP.random(5)
    behavior, target = mdp.policy(6, 3.0), mdp.policy(7, 3.0)
    truth, q = mdp.value(target, 0.9), mdp.q(target, 0.9)
    played = mdp.play(behavior, 400 * 60, 8)
    log = tiny_trajectories(mdp, played, behavior, target, q)
    counts = np.repeat(np.eye(400), 60, 1)
    found = {name: ESTIMATORS[name](log, counts) for name in (*IMPORTANCE, "DR", "weighted DR")}
    for name in ("IS", "PDIS", "DR"):
        assert abs(found[name].mean() - truth) < 4 * found[name].std() / 20, name
    assert found["IS"].std() > 1.1 * found["PDIS"].std() > 1.5 * found["DR"].std()
    assert found["weighted DR"].std() < found["weighted PDIS"].std()


def test_an_action_that_the_target_never_takes_ends_an_episode_s_weight() -> None:
    log = trajectories(
        rewards=np.ones((2, 2)),
        alive=np.ones((2, 2), np.bool_),
        behavior=np.full((2, 2), 0.5),
        target=np.array([[0.0, 1.0], [1.0, 1.0]]),
    )
    np.testing.assert_array_equal(np.exp(log.log_weights), [[0, 2], [0, 4]])
    assert weighted_importance_sampling(log, once(log)) == pytest.approx(2)
    assert per_decision(log, once(log)) == pytest.approx((2 + 4) / 2)
    assert np.isnan(weighted_importance_sampling(log, np.array([[1.0, 0.0]]))).all()


def test_long_episodes_do_not_overflow() -> None:
    steps = np.full((900, 3), 0.9)
    log = trajectories(np.ones((900, 3)), steps > 0, steps / 9, steps, discount=0.9)
    assert log.log_weights[-1, 0] > 1_900
    for name in ("WIS", "weighted PDIS", "weighted DR"):
        assert ESTIMATORS[name](log, once(log))[0] == pytest.approx(10), name


def test_what_the_behavior_policy_never_does_was_not_logged() -> None:
    one = np.ones((1, 2))
    with pytest.raises(ValueError, match="no probability to the action at step 0 of episode 1"):
        trajectories(one, one > 0, np.array([[0.5, 0.0]]), one)


def drawn_log(
    seed: int, episodes: int = 8, steps: int = 5
) -> tuple[Trajectories, NDArray[np.float64]]:
    """Any log, and its ratios (T, E); the first episode is whole and has a weight."""
    random = np.random.default_rng(seed)
    alive = np.arange(steps)[:, None] < random.integers(1, steps + 1, episodes)
    alive[:, 0] = True
    behavior, target = random.uniform(0.1, 1, (2, steps, episodes))
    target[random.random(target.shape) < 0.05] = 0
    target[:, 0] = 0.5
    rewards, q, v = random.normal(size=(3, steps, episodes))
    log = trajectories(rewards, alive, behavior, target, q, v, 0.9)
    return log, np.where(alive, target / behavior, 1.0)


def tiny_trajectories(mdp: TinyMDP, played, behavior, target, q) -> Trajectories:
    states = played.observations[..., 0].astype(int)
    of_q = q[np.arange(mdp.horizon)[:, None], states]
    at = (states, played.actions)
    return trajectories(
        played.rewards,
        played.alive,
        behavior[at],
        target[at],
        np.take_along_axis(of_q, played.actions[..., None], 2)[..., 0],
        (of_q * target_of(target, played)[:-1]).sum(2),
        0.9,
    )
