"""Training returns: of which episodes, and when."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.engine.recent_episodes import EPISODES_IN_MEAN, RecentEpisodes


def test_there_are_none_before_each_environment_has_ended_an_episode() -> None:
    recent = RecentEpisodes(3)
    for environment in (0, 0, 2, 0, 2):
        recent.add(environment, 1.0, 1)
        assert recent.returns_and_lengths() == ([], [])
    recent.add(1, 50.0, 90)
    assert recent.returns_and_lengths() == ([1.0, 50.0, 1.0], [1, 90, 1])


def test_each_environment_gives_as_many_as_the_slowest_has_and_its_latest() -> None:
    recent = RecentEpisodes(2)
    for episode_return in (1.0, 2.0, 3.0, 4.0):
        recent.add(0, episode_return, 5)
    for episode_return in (10.0, 20.0):
        recent.add(1, episode_return, 50)
    assert recent.returns_and_lengths() == ([3.0, 4.0, 10.0, 20.0], [5, 5, 50, 50])


@pytest.mark.parametrize(("num_envs", "episodes"), [(1, 100), (8, 8 * 13), (100, 100), (128, 128)])
def test_they_are_of_the_latest_hundred_episodes_or_one_of_each_environment(
    num_envs: int, episodes: int
) -> None:
    recent = RecentEpisodes(num_envs)
    for k in range(EPISODES_IN_MEAN + 3):
        for environment in range(num_envs):
            recent.add(environment, float(k), k)
    returns, _ = recent.returns_and_lengths()
    assert len(returns) == episodes
    assert max(returns) == EPISODES_IN_MEAN + 2
    assert min(returns) == EPISODES_IN_MEAN + 3 - episodes // num_envs


def mean_while_playing(balanced: bool, env_steps: int, seed: int) -> float:
    """The mean return of episodes that are 10 or 200 steps long with the same chance, one for each
    step: truly 105."""
    random, num_envs = np.random.default_rng(seed), 16
    recent, ended = RecentEpisodes(num_envs), []
    left = random.choice([10, 200], num_envs)
    lengths = left.copy()
    for _ in range(env_steps // num_envs):
        left -= 1
        for n in np.flatnonzero(left == 0):
            recent.add(int(n), float(lengths[n]), int(lengths[n]))
            ended.append(lengths[n])
            left[n] = lengths[n] = random.choice([10, 200])
    return float(
        np.mean(recent.returns_and_lengths()[0] if balanced else ended[-EPISODES_IN_MEAN:])
    )


def test_long_episodes_weigh_as_much_as_short_ones_from_the_first_mean_on() -> None:
    """At the first moment at which each environment has ended an episode, when all that have ended
    are mostly short."""
    steps = 200 * 16
    balanced, latest = (
        [mean_while_playing(b, steps, seed) for seed in range(200)] for b in (True, False)
    )
    # The deviation of a mean of 16 episodes is 24, and that of 200 such means 1.7.
    assert abs(np.mean(balanced) - 105) < 5
    assert np.mean(latest) < 80


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(-1e3, 1e3), st.integers(1, 99)), max_size=40)
)
def test_a_resumed_run_has_the_same(episodes: list[tuple[int, float, int]]) -> None:
    recent, resumed, other = RecentEpisodes(4), RecentEpisodes(4), RecentEpisodes(5)
    for episode in episodes:
        recent.add(*episode)
    resumed.set_state(recent.get_state())
    assert resumed.returns_and_lengths() == recent.returns_and_lengths()
    other.set_state(recent.get_state())
    assert other.returns_and_lengths() == ([], [])
