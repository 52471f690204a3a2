"""Returns and lengths of training's latest episodes, without a preference for short ones."""

import math
from collections import deque
from typing import Any

EPISODES_IN_MEAN = 100
"""Training returns and lengths are over at least so many latest episodes, once so many have
ended."""


class RecentEpisodes:
    """The latest episodes of each environment, of which every environment gives the same number.

    The first episodes to end are the short ones: a mean over all that have ended is biased to them,
    until each environment has ended many. So, as in evaluation, each environment has the same
    share, and there is nothing before each has ended an episode."""

    def __init__(self, num_envs: int) -> None:
        self.most = math.ceil(EPISODES_IN_MEAN / num_envs)
        self.episodes: list[deque[tuple[float, int]]] = [
            deque(maxlen=self.most) for _ in range(num_envs)
        ]

    def add(self, environment: int, episode_return: float, length: int) -> None:
        """Takes in an episode that has ended; environments are counted from 0 through all env
        runners."""
        self.episodes[environment].append((episode_return, length))

    def returns_and_lengths(self) -> tuple[list[float], list[int]]:
        """The latest k episodes of each environment, where k is the number that the environment
        with the fewest has."""
        share = min(map(len, self.episodes))
        latest = [
            episode for ended in self.episodes for episode in list(ended)[len(ended) - share :]
        ]
        return [episode_return for episode_return, _ in latest], [length for _, length in latest]

    def get_state(self) -> list[list[list[float]]]:
        """The episodes of each environment, as JSON has them."""
        return [[list(episode) for episode in ended] for ended in self.episodes]

    def set_state(self, state: Any) -> None:
        """Takes the episodes that `get_state` returned; none where they are of another number of
        environments."""
        if len(state) != len(self.episodes):
            return
        for ended, episodes in zip(self.episodes, state, strict=True):
            ended.clear()
            ended.extend(
                (float(episode_return), int(length)) for episode_return, length in episodes
            )
