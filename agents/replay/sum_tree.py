"""A sum tree: numbers at the leaves, drawn in proportion to their size (Schaul et al. 2016,
appendix B.2.1)."""

import numpy as np
from numpy.typing import NDArray


class SumTree:
    """`size` numbers, none below 0, all 0 at first; setting and drawing k of them takes O(k log
    size).

    Node i is the sum of nodes 2i and 2i + 1; the root is node 1, the leaves are the last level.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.levels = max(1, (size - 1).bit_length())
        self.nodes = np.zeros(2 << self.levels)

    @property
    def total(self) -> float:
        return float(self.nodes[1])

    @property
    def leaves(self) -> NDArray[np.float64]:
        """All numbers, a view (size,)."""
        start = 1 << self.levels
        return self.nodes[start : start + self.size]

    def get(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.leaves[indices]

    def set(self, indices: NDArray[np.int64], values: NDArray) -> None:
        """Where an index comes twice, its last value counts."""
        self.leaves[indices] = values
        nodes = indices + (1 << self.levels)
        for _ in range(self.levels):
            # Sums are taken anew, not corrected by a difference, so that no rounding error grows.
            nodes = nodes >> 1
            self.nodes[nodes] = self.nodes[2 * nodes] + self.nodes[2 * nodes + 1]

    def draw(self, count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Indices (count,), one from each of `count` equal shares of the total; never one whose
        number is 0.

        Raises ValueError where all numbers are 0."""
        if not self.total > 0:
            raise ValueError("There is nothing to draw: every number is 0.")
        rest = (np.arange(count) + random.random(count)) * (self.total / count)
        nodes = np.ones(count, np.int64)
        for _ in range(self.levels):
            nodes = 2 * nodes
            left = self.nodes[nodes]
            # A rest that rounding pushed past the end stays with the last number that is not 0.
            right = (rest >= left) & (self.nodes[nodes + 1] > 0)
            rest = np.where(right, rest - left, rest)
            nodes += right
        return nodes - (1 << self.levels)
