"""Fitted Q evaluation is dynamic programming, by states exactly and by a network nearly."""

from dataclasses import replace

import numpy as np

from agents.evaluation.off_policy.fitted_q import (
    NetworkQ,
    TabularQ,
    fitted_q,
    followed,
    states_of,
    steps_of,
)
from tests.agents.evaluation.off_policy.tiny_mdp import TinyMDP, target_of

MDP = TinyMDP.random(11)
BEHAVIOR, TARGET = MDP.policy(12, 3.0), MDP.policy(13, 3.0)


def test_by_states_it_is_dynamic_programming_in_what_was_seen() -> None:
    """A second derivation: transition and reward matrices of the log, and backward induction by
    matrices."""
    played = MDP.play(BEHAVIOR, 400, 1)
    states = played.observations[..., 0].astype(int)
    last = played.last_observations[:, 0].astype(int)
    moves, rewards = np.zeros((5, 3, 6)), np.zeros((5, 3))
    for t, e in np.argwhere(played.alive):
        over = t + 1 == MDP.horizon or not played.alive[t + 1, e]
        after = (5 if played.terminated[e] else last[e]) if over else states[t + 1, e]
        moves[states[t, e], played.actions[t, e], after] += 1
        rewards[states[t, e], played.actions[t, e]] += played.rewards[t, e]
    tried = moves.sum(2)
    assert tried.min() > 0
    seen = TinyMDP(moves / tried[..., None], rewards / tried, MDP.horizon)
    target = target_of(TARGET, played)
    model = fitted_q(played, target, 0.9)
    assert isinstance(model, TabularQ)
    expected = seen.q(TARGET, 0.9)[np.arange(MDP.horizon)[:, None], states]
    q, v = model.values(np.ones(400))
    alive = played.alive
    np.testing.assert_allclose(
        q[alive], np.take_along_axis(expected, played.actions[..., None], 2)[..., 0][alive]
    )
    np.testing.assert_allclose(v[alive], (expected * target[:-1]).sum(2)[alive])
    assert not q[~alive].any()
    assert not v[~alive].any()
    first = (TARGET * seen.q(TARGET, 0.9)[0]).sum(1)[states[0]]
    np.testing.assert_allclose(model.value(np.ones((1, 400))), first.mean())


def test_by_states_it_comes_to_the_exact_values() -> None:
    played = MDP.play(BEHAVIOR, 40_000, 2)
    q, v = fitted_q(played, target_of(TARGET, played), 0.9).values(np.ones(40_000))
    exact = MDP.q(TARGET, 0.9)[
        np.arange(MDP.horizon)[:, None], played.observations[..., 0].astype(int)
    ]
    of_taken = np.take_along_axis(exact, played.actions[..., None], 2)[..., 0]
    np.testing.assert_allclose(q[played.alive], of_taken[played.alive], atol=0.1)
    of_states = (exact * target_of(TARGET, played)[:-1]).sum(2)
    np.testing.assert_allclose(v[played.alive], of_states[played.alive], atol=0.1)


def test_an_episode_counted_twice_is_two() -> None:
    played = MDP.play(BEHAVIOR, 60, 3)
    counts = np.random.default_rng(0).integers(0, 3, 60)
    twice = played.chosen(np.repeat(np.arange(60), counts))
    model = TabularQ(states_there(played), played, target_of(TARGET, played), 0.9)
    other = TabularQ(states_there(twice), twice, target_of(TARGET, twice), 0.9)
    rows = np.repeat(np.arange(60), counts)
    for mine, theirs in zip(
        model.values(counts.astype(float)), other.values(np.ones(len(twice))), strict=True
    ):
        np.testing.assert_allclose(mine[:, rows], theirs)
    np.testing.assert_allclose(
        model.value(counts[None].astype(float)), other.value(np.ones((1, len(twice))))
    )


def test_what_was_never_tried_is_worth_what_was_done_there() -> None:
    """At the last step, under a policy that does nothing but what nobody did."""
    played = MDP.play(BEHAVIOR, 200, 4)
    played = replace(played, actions=np.minimum(played.actions, 1))
    other = target_of(np.eye(3)[[2] * 5], played)
    states = states_there(played)
    _, v = TabularQ(states, played, other, 0.9).values(np.ones(200))
    usual = np.array([played.rewards[(states[:-1] == s) & played.alive].mean() for s in range(5)])
    at_end = played.alive[-1]
    assert at_end.any()
    np.testing.assert_allclose(v[-1, at_end], usual[states[3, at_end]])


def test_the_value_of_an_observation_is_by_what_is_decided_there() -> None:
    """A target policy that remembers decides differently in one state: v follows it step by
    step."""
    played = MDP.play(BEHAVIOR, 300, 4)
    random = np.random.default_rng(0)
    remembering = random.dirichlet(np.ones(3), (MDP.horizon + 1, 300))
    states = states_there(played)
    one, other = remembering.copy(), remembering.copy()
    other[0, 0] = other[0, 0][::-1]
    _, v = TabularQ(states, played, one, 0.0).values(np.ones(300))
    _, w = TabularQ(states, played, other, 0.0).values(np.ones(300))
    assert v[0, 0] != w[0, 0]
    np.testing.assert_allclose(v[1:], w[1:])
    np.testing.assert_allclose(v[0, 1:], w[0, 1:])


def test_a_network_comes_near_dynamic_programming() -> None:
    """States as one-hot vectors with noise, so that no observation comes twice."""
    played = MDP.play(BEHAVIOR, 3_000, 5)
    target = target_of(TARGET, played)
    random = np.random.default_rng(0)
    noisy = replace(
        played,
        observations=(
            np.eye(5)[played.observations[..., 0].astype(int)]
            + random.normal(0, 0.1, (4, 3_000, 5))
        ),
        last_observations=np.eye(5)[played.last_observations[:, 0].astype(int)]
        + random.normal(0, 0.1, (3_000, 5)),
    )
    model = fitted_q(noisy, target, 0.9)
    assert isinstance(model, NetworkQ)
    values = model.values((np.arange(3_000) < 2_000).astype(float))[1][0, 2_000:]
    exact = (TARGET * MDP.q(TARGET, 0.9)[0]).sum(1)[played.observations[0, 2_000:, 0].astype(int)]
    assert np.abs(values - exact).mean() < 0.12 < 0.3 * np.abs(exact - exact.mean()).mean()


def test_steps_end_where_episodes_do() -> None:
    played = MDP.play(BEHAVIOR, 50, 6)
    time, episode, ended = steps_of(played)
    assert len(time) == played.alive.sum()
    lengths = played.alive.sum(0)
    np.testing.assert_array_equal(
        ended, (time + 1 == lengths[episode]) & played.terminated[episode]
    )
    assert ended.sum() == played.terminated.sum() > 0
    seen = followed(played)
    np.testing.assert_array_equal(seen[lengths, np.arange(50)], played.last_observations)
    np.testing.assert_array_equal(seen[:-1][played.alive], played.observations[played.alive])


def test_readings_that_never_come_again_are_no_states() -> None:
    played = MDP.play(BEHAVIOR, 100, 7)
    random = np.random.default_rng(0)
    assert (
        states_of(replace(played, observations=random.normal(size=played.observations.shape)))
        is None
    )
    numbers, seen = states_of(played), followed(played)[..., 0]
    assert numbers is not None
    assert set(numbers.ravel()) == set(range(5))
    for state in range(5):
        assert len(set(numbers[seen == state])) == 1


def states_there(played) -> np.ndarray:
    return followed(played)[..., 0].astype(int)
