"""Synthetic scans of a tumor: a slice through a body, a bright lesion of three nodes, and speckle.

No scan of a person is in them: bodies are ellipses, lesions irregular blots, and a node grows until
it meets its neighbors or the body's edge. Only the tumor's size changes from scan to scan; what a
treatment does to everything else is not to be seen. Speckle multiplies, as in ultrasound
(Burckhardt 1978), so what is bright is noisier."""

from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

SIZE = 64
"""Pixels across and down."""
AREA = 1_200.0
"""Pixels that a tumor of 1 covers."""
OUTSIDE, BODY, ORGAN, SPINE, LESION = 4.0, 60.0, 80.0, 95.0, 190.0
"""Brightness of what a slice shows, of 255."""
VISIBLE = 125.0
"""Brightness from which on a pixel counts as tumor; ours, so that at soft edges as much is missed
as is added."""
NODES = (0.6, 0.25, 0.15)
"""How the tumor is shared between its nodes."""
SPECKLE = 0.2
"""Standard deviation of a pixel's brightness, as a share of it."""


class Anatomy(NamedTuple):
    """What stays of P patients' scans."""

    tissue: NDArray[np.uint8]
    """Brightness without the tumor (P, SIZE, SIZE)."""
    order: NDArray[np.int16]
    """When the growing tumor comes to each pixel: how many it has by then (P, SIZE, SIZE)."""

    def of(self, patients: NDArray[np.int64]) -> "Anatomy":
        """The rows of these patients (N,), which may repeat."""
        return Anatomy(self.tissue[patients], self.order[patients])


class Renderer(Protocol):
    """Makes scans; a learnt one takes the place of `phantom`."""

    def __call__(
        self, anatomy: Anatomy, tumor: NDArray[np.float64], random: np.random.Generator
    ) -> NDArray[np.uint8]:
        """What stays of N patients, and how much tumor each has (N,) -> scans (N, 1, SIZE,
        SIZE)."""
        ...


def phantom(
    anatomy: Anatomy, tumor: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Scans (N, 1, SIZE, SIZE) in which a tumor (N,) covers AREA pixels times its size, with edges
    that are soft."""
    area = (AREA * tumor).astype(np.float32)[:, None, None]
    edge = np.maximum(1, 2 * np.sqrt(area))
    covered = np.clip((area - 0.5 - anatomy.order) / edge + 0.5, 0, 1)
    bright = anatomy.tissue + covered * (np.float32(LESION) - anatomy.tissue)
    bright *= 1 + np.float32(SPECKLE) * random.standard_normal(bright.shape, np.float32)
    return np.clip(bright, 0, 255).astype(np.uint8)[:, None]


def measured(scans: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much tumor the newest channel of scans (N, C, SIZE, SIZE) shows (N,): its bright pixels,
    after speckle has been averaged over 3 x 3. What covers fewer than about five pixels is lost in
    it."""
    from scipy.ndimage import (
        uniform_filter,
    )  # here, because it takes a third of a second and settings do without

    smooth = uniform_filter(scans[:, -1].astype(np.float32), (0, 3, 3))  # pyright: ignore
    return (smooth > VISIBLE).sum((1, 2)) / AREA


@lru_cache(maxsize=4)
def anatomies(patients: int, seed: int) -> Anatomy:
    """Bodies, and where in them a tumor grows, of so many patients; the same seed, the same
    patients."""
    random = np.random.default_rng([seed, SIZE])
    tissue = np.zeros((patients, SIZE, SIZE), np.uint8)
    order = np.zeros((patients, SIZE, SIZE), np.int16)
    for patient in range(patients):
        tissue[patient], order[patient] = _anatomy(random)
    return Anatomy(tissue, order)


def _anatomy(random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    middle = (SIZE - 1) / 2
    body = _distances((middle, middle), random.uniform([28, 24], [31, 28]))
    organ = _distances(
        (middle + random.uniform(-3, 3), middle - 4), random.uniform([17, 13], [21, 16])
    )
    spine = _distances((middle, middle + random.uniform(15, 18)), random.uniform([4, 4], [6, 6]))
    tissue = np.select([spine < 1, organ < 1, body < 1], [SPINE, ORGAN, BODY], OUTSIDE)

    # The largest node lies near the organ's middle, the others around it, where they do not meet it
    # while it is small.
    center = np.array([middle, middle - 4]) + random.uniform(-4, 4, 2)
    turn = random.uniform(0, 2 * np.pi)
    reached = np.full((SIZE, SIZE), np.inf)
    for node, share in enumerate(NODES):
        angle = turn + node * random.uniform(1.7, 2.4)
        away = 0 if node == 0 else random.uniform(11, 14)
        place = (center[0] + away * np.cos(angle), center[1] + away * np.sin(angle))
        reached = np.minimum(
            reached, _distances(place, np.ones(2), random.uniform(0, 2 * np.pi, 2)) ** 2 / share
        )
    # Ordered by rank, a tumor covers exactly as many pixels as it ought to; outside the body are
    # the last.
    ranks = np.empty(SIZE**2, np.int64)
    ranks[np.argsort(np.where(body < 1, reached, np.inf), axis=None, kind="stable")] = np.arange(
        SIZE**2
    )
    return tissue, ranks.reshape(SIZE, SIZE)


def _distances(
    center: tuple[float, float], radii: NDArray[np.float64], lobes: NDArray | None = None
) -> NDArray:
    """Of every pixel from a center (x, y), in radii of an ellipse, or of a blot with lobes at these
    angles."""
    y, x = np.mgrid[:SIZE, :SIZE] - np.array(center[::-1])[:, None, None]
    distances = np.hypot(x / radii[0], y / radii[1])
    if lobes is None:
        return distances
    angles = np.arctan2(y, x)
    return distances / (
        1 + 0.2 * np.sin(2 * angles + lobes[0]) + 0.12 * np.sin(3 * angles + lobes[1])
    )
