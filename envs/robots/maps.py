"""Maps for path planning: obstacles drawn from a seed, distances around them, and the shortest way
by A*.

All lengths are metres; the arena's middle is the origin. Grids are square, `grid[i, j]` is the cell
with its center at `center((i, j))`: i counts along x, j along y.
"""

import heapq
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

ARENA = 10.0
CELL = 0.2
CLEARANCE = 0.65
"""What a path's grid cells keep from every obstacle: Husky's corners reach 0.58 m from its
middle."""
EDGE = ARENA / 2 - 0.5
"""Obstacles' middles lie within so much of the arena's, along x and along y."""
MIN_DISTANCE = 5.0
"""Straight from start to goal, at least."""

# What an 8-connected grid allows: the four straight moves, then the four diagonal ones.
MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


class Shape(NamedTuple):
    """An obstacle's outline: a box, or a pillar, which has a radius alone."""

    half_length: float
    half_width: float
    radius: float


PILLARS = tuple(Shape(0.0, 0.0, radius) for radius in (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6))
CRATES = tuple(
    Shape(length, width, 0.0)
    for length, width in (
        (0.25, 0.25),
        (0.3, 0.3),
        (0.4, 0.25),
        (0.4, 0.4),
        (0.5, 0.3),
        (0.5, 0.5),
        (0.6, 0.4),
    )
)
WALLS = tuple(Shape(length, 0.1, 0.0) for length in (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5))
SHAPES = (*PILLARS, *CRATES, *WALLS)
"""A map has each of them at most once, so that a simulation can make them once and then only move
them."""


@dataclass(frozen=True)
class Map:
    """One task. Everything in it follows from `draw_map`'s arguments."""

    shapes: NDArray[np.int64]  # (n,), the obstacles' indices into SHAPES
    poses: NDArray[np.float64]  # (n, 3), their x, y and heading (radians)
    start: NDArray[np.float64]  # (3,), the robot's x, y and heading
    goal: NDArray[np.float64]  # (2,)
    distance: NDArray[np.float64]  # (cells, cells), from `distance_field`, in metres
    path: NDArray[np.float64]  # (k, 2), corners of the shortest way from start to goal


def draw_map(seed: int, num_obstacles: int) -> Map:
    """The map of this seed: obstacles of several shapes, start and goal at least MIN_DISTANCE
    apart, a way between."""
    rng = np.random.default_rng(seed)
    while True:
        shapes = rng.permutation(len(SHAPES))[:num_obstacles]
        poses = rng.uniform((-EDGE, -EDGE, 0), (EDGE, EDGE, math.pi), (num_obstacles, 3))
        free = clearance(CENTERS, shapes, poses) >= CLEARANCE
        if not free.any():
            continue
        goal = tuple(rng.choice(np.argwhere(free)))
        distance = distance_field(free, goal)
        far = np.linalg.norm(CENTERS - center(goal), axis=-1) >= MIN_DISTANCE
        starts = np.argwhere(free & far & np.isfinite(distance))
        if len(starts):
            break
    start = tuple(rng.choice(starts))
    way = shorten(center(astar(free, start, goal)), shapes, poses)
    heading = rng.uniform(-math.pi, math.pi)
    return Map(
        shapes, poses, np.array([*center(start), heading]), center(goal), extended(distance), way
    )


def center(cells: ArrayLike) -> NDArray[np.float64]:
    """Where cells lie: indices (..., 2) -> positions (..., 2)."""
    return (np.asarray(cells) + 0.5) * CELL - ARENA / 2


CENTERS = center(np.moveaxis(np.indices((round(ARENA / CELL),) * 2), 0, -1))


def clearance(points: NDArray, shapes: NDArray, poses: NDArray) -> NDArray[np.float64]:
    """How far points (..., 2) are from the nearest obstacle or the arena's border; 0 or less:
    inside one."""
    to_border = ARENA / 2 - np.abs(points).max(axis=-1)
    if not len(shapes):
        return to_border
    half_length, half_width, radius = np.array(SHAPES)[shapes].T
    cos = np.cos(poses[:, 2])
    sin = np.sin(poses[:, 2])
    x = points[..., 0, None] - poses[:, 0]
    y = points[..., 1, None] - poses[:, 1]
    outside_x = np.maximum(np.abs(cos * x + sin * y) - half_length, 0.0)
    outside_y = np.maximum(np.abs(cos * y - sin * x) - half_width, 0.0)
    return np.minimum(to_border, (np.sqrt(outside_x**2 + outside_y**2) - radius).min(axis=-1))


def astar(
    free: NDArray[np.bool_], start: tuple[int, int], goal: tuple[int, int]
) -> NDArray[np.int64]:
    """The cells (k, 2) of a shortest 8-connected path from start to goal (Hart, Nilsson and Raphael
    1968).

    A straight move costs 1, a diagonal one the root of 2, which may pass between two blocked cells.
    The heuristic is the octile distance. Raises ValueError where there is no path."""
    # With a blocked border around the grid, no neighbor needs to be looked for outside it.
    blocked = np.pad(~free, 1, constant_values=True)
    width = blocked.shape[1]
    along, across = np.abs(np.indices(blocked.shape) - np.reshape(goal, (2, 1, 1)) - 1)
    to_goal = (
        (np.maximum(along, across) + (math.sqrt(2) - 1) * np.minimum(along, across))
        .ravel()
        .tolist()
    )
    source, target = ((i + 1) * width + j + 1 for i, j in (start, goal))
    moves = [(i * width + j, math.hypot(i, j)) for i, j in MOVES]

    costs = {source: 0.0}
    came_from = {}
    closed = blocked.ravel().tolist()
    queue = [(to_goal[source], source)]
    while queue:
        cell = heapq.heappop(queue)[1]
        if cell == target:
            break
        if closed[cell]:
            continue
        closed[cell] = True
        cost = costs[cell]
        for offset, length in moves:
            neighbor = cell + offset
            if not closed[neighbor] and cost + length < costs.get(neighbor, math.inf):
                costs[neighbor] = cost + length
                came_from[neighbor] = cell
                heapq.heappush(queue, (cost + length + to_goal[neighbor], neighbor))
    else:
        raise ValueError(f"There is no path from {start} to {goal}.")
    path = [target]
    while path[-1] != source:
        path.append(came_from[path[-1]])
    return np.stack(np.divmod(path[::-1], width), axis=1) - 1


def shorten(path: NDArray, shapes: NDArray, poses: NDArray) -> NDArray[np.float64]:
    """The corners (m, 2) that are left of a path (k, 2) where it goes straight to the farthest
    point in clear sight."""
    corners = [path[0]]
    here = 0
    while here < len(path) - 1:
        ahead = path[here + 1 :]
        samples = np.linspace(
            0, 1, 2 + int(np.linalg.norm(ahead - path[here], axis=1).max() / (CELL / 2))
        )
        lines = path[here] + samples[:, None, None] * (ahead - path[here])
        seen = np.flatnonzero(clearance(lines, shapes, poses).min(axis=0) >= CLEARANCE - SLACK)
        here += 1 + (int(seen[-1]) if len(seen) else 0)
        corners.append(path[here])
    return np.array(corners)


# Half-way along a diagonal move, a line between two points that keep CLEARANCE comes nearer by
# this, at most.
SLACK = CLEARANCE - math.sqrt(CLEARANCE**2 - CELL**2 / 2)


def ahead_on(path: NDArray, position: tuple[float, float], distance: float) -> NDArray[np.float64]:
    """The point (2,) of a path (k, 2) so far beyond the one nearest to the position; its end, where
    it is shorter."""
    length = np.r_[0.0, np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()]
    fine = np.arange(0.0, length[-1], CELL / 4)
    points = np.stack([np.interp(fine, length, path[:, axis]) for axis in (0, 1)], axis=1)
    nearest = fine[np.linalg.norm(points - position, axis=1).argmin()]
    return np.array([np.interp(nearest + distance, length, path[:, axis]) for axis in (0, 1)])


def path_length(path: NDArray) -> float:
    """The length of a path through corners (k, 2), in metres."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def distance_field(free: NDArray[np.bool_], goal: tuple[int, int]) -> NDArray[np.float64]:
    """Length of the shortest 8-connected path from every cell to the goal, in metres; infinite
    where there is none."""
    distance = np.full(free.shape, np.inf)
    distance[goal] = 0.0
    return relaxed(distance, free)


def extended(distance: NDArray) -> NDArray[np.float64]:
    """A field with its infinite cells filled: by way of the nearest finite ones, as if nothing
    stood there."""
    return relaxed(distance, ~np.isfinite(distance))


def relaxed(distance: NDArray, may_change: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The least distances that one cell passes on to the next; all cells together, until nothing
    changes."""
    around = np.pad(distance, 1, constant_values=np.inf)
    inner = around[1:-1, 1:-1]
    rows, columns = distance.shape
    shifted = [around[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i, j in MOVES]
    while True:
        straight = np.minimum(
            np.minimum(shifted[0], shifted[1]), np.minimum(shifted[2], shifted[3])
        )
        diagonal = np.minimum(
            np.minimum(shifted[4], shifted[5]), np.minimum(shifted[6], shifted[7])
        )
        best = np.minimum(straight + CELL, diagonal + CELL * math.sqrt(2))
        lower = may_change & (best < inner)
        if not lower.any():
            return inner.copy()
        np.copyto(inner, best, where=lower)


def interpolate(field: NDArray, x: float, y: float) -> float:
    """A field's value at a position, bilinear between cell centers; outside them, the nearest
    border's."""
    # Positions end just before the last center, so that i + 1 and j + 1 are cells, too.
    last = len(field) - 1
    u = min(max((x + ARENA / 2) / CELL - 0.5, 0.0), last - 1e-9)
    v = min(max((y + ARENA / 2) / CELL - 0.5, 0.0), last - 1e-9)
    i = int(u)
    j = int(v)
    u = u - i
    v = v - j
    low = (1 - v) * field[i, j] + v * field[i, j + 1]
    high = (1 - v) * field[i + 1, j] + v * field[i + 1, j + 1]
    return float((1 - u) * low + u * high)
