"""Columns of experience: what is told of their order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.data import Experience


@given(
    seen=st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=1, max_size=12),
    borders=st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=12, max_size=12),
)
def test_an_observation_is_repeated_where_its_own_episode_had_it_before(seen, borders) -> None:
    observations = np.array(seen, np.float32)[..., None] * np.ones(3, np.float32)  # (T, 2, 3)
    first = np.array(borders[: len(seen)])
    zeros = np.zeros(first.shape, np.float32)
    told = Experience(observations, zeros, zeros, first, first, first).repeated()

    for n in range(2):
        before: set[int] = set()
        for t in range(len(seen)):
            before = set() if first[t, n] else before
            assert told[t, n] == (seen[t][n] in before)
            before.add(seen[t][n])
