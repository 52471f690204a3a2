"""The sum tree against plain sums, and its draws against the probabilities that they should
have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.replay.sum_tree import SumTree


@given(
    size=st.integers(1, 40),
    writes=st.lists(st.tuples(st.integers(0, 39), st.floats(0, 1e6)), max_size=60),
    together=st.integers(1, 7),
)
def test_every_node_is_the_sum_of_its_leaves(
    size: int, writes: list[tuple[int, float]], together: int
) -> None:
    tree, plain = SumTree(size), np.zeros(size)
    for start in range(0, len(writes), together):
        indices = np.array([i % size for i, _ in writes[start : start + together]])
        values = np.array([value for _, value in writes[start : start + together]])
        tree.set(indices, values)
        for i, value in zip(indices, values, strict=True):
            plain[i] = value
    np.testing.assert_array_equal(tree.leaves, plain)
    assert tree.total == pytest.approx(plain.sum())
    for node in range(1, 1 << tree.levels):
        assert tree.nodes[node] == tree.nodes[2 * node] + tree.nodes[2 * node + 1]


def test_draws_are_in_proportion_by_a_chi_square_test() -> None:
    priorities = np.array([1.0, 0.0, 2.0, 5.0, 0.5, 0.0, 3.0])
    tree, random = SumTree(7), np.random.default_rng(3)
    tree.set(np.arange(7), priorities)
    # One at a time, so that each draw is independent of the others.
    counts = np.bincount(np.concatenate([tree.draw(1, random) for _ in range(20_000)]), minlength=7)
    assert counts[[1, 5]].tolist() == [0, 0]
    positive = priorities > 0
    expected = 20_000 * priorities[positive] / priorities.sum()
    chi_square = ((counts[positive] - expected) ** 2 / expected).sum()
    assert chi_square < 18.5  # 4 degrees of freedom: 1 in 1,000 by chance


def test_draws_together_take_one_from_each_share() -> None:
    tree = SumTree(4)
    tree.set(np.arange(4), np.array([1.0, 1.0, 1.0, 1.0]))
    for seed in range(20):
        assert tree.draw(4, np.random.default_rng(seed)).tolist() == [0, 1, 2, 3]


@given(
    size=st.integers(1, 33),
    one=st.integers(0, 32),
    value=st.floats(1e-300, 1e300),
    seed=st.integers(0, 99),
)
def test_what_is_zero_is_never_drawn(size: int, one: int, value: float, seed: int) -> None:
    tree = SumTree(size)
    tree.set(np.array([one % size]), np.array([value]))
    assert set(tree.draw(50, np.random.default_rng(seed)).tolist()) == {one % size}


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        SumTree(3).draw(1, np.random.default_rng(0))
