"""Maps: distances by hand, shortest paths against networkx, ways that touch nothing."""

import math
from itertools import pairwise

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.robots import maps
from envs.robots.maps import ARENA, CELL, CLEARANCE, CRATES, PILLARS, SHAPES, WALLS

ROBOT_RADIUS = math.hypot(
    0.5047, 0.2865
)  # to the corners of Husky's chassis, the farthest of its body


@st.composite
def grids(draw):
    """A grid with some cells blocked, and two free cells of it."""
    rows, columns = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    free = rng.random((rows, columns)) > draw(st.floats(0.0, 0.6))
    start, goal = ((int(rng.integers(rows)), int(rng.integers(columns))) for _ in range(2))
    free[start] = free[goal] = True
    return free, start, goal


def graph_of(free: np.ndarray) -> networkx.Graph:
    graph = networkx.Graph()
    cells = {(int(i), int(j)) for i, j in np.argwhere(free)}
    graph.add_nodes_from(cells)
    for i, j in cells:
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                if (di, dj) != (0, 0) and (i + di, j + dj) in cells:
                    graph.add_edge((i, j), (i + di, j + dj), weight=math.hypot(di, dj))
    return graph


@settings(deadline=None)
@given(grids())
def test_astar_finds_a_shortest_path_where_there_is_one(grid) -> None:
    free, start, goal = grid
    graph = graph_of(free)
    if not networkx.has_path(graph, start, goal):
        with pytest.raises(ValueError, match="no path"):
            maps.astar(free, start, goal)
        return
    path = maps.astar(free, start, goal)
    assert tuple(path[0]) == start
    assert tuple(path[-1]) == goal
    assert free[tuple(path.T)].all()
    assert (np.abs(np.diff(path, axis=0)).max(axis=1, initial=0) <= 1).all()
    shortest = networkx.dijkstra_path_length(graph, start, goal)
    assert maps.path_length(path) == pytest.approx(shortest)


@settings(deadline=None)
@given(grids())
def test_the_distance_field_holds_every_cells_shortest_path(grid) -> None:
    free, _, goal = grid
    shortest = networkx.single_source_dijkstra_path_length(graph_of(free), goal)
    field = maps.distance_field(free, goal)
    for cell in np.ndindex(free.shape):
        assert field[cell] == pytest.approx(CELL * shortest.get(cell, math.inf))
    filled = maps.extended(field)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[np.isfinite(field)], field[np.isfinite(field)])


def test_a_filled_field_rises_away_from_the_cells_it_is_filled_from() -> None:
    field = np.full((1, 5), np.inf)
    field[0, 1] = 3.0
    np.testing.assert_allclose(
        maps.extended(field), [[3 + CELL, 3, 3 + CELL, 3 + 2 * CELL, 3 + 3 * CELL]]
    )


def index_of(shape: maps.Shape) -> int:
    return SHAPES.index(shape)


def test_clearance_against_distances_by_hand() -> None:
    crate = index_of(maps.Shape(0.5, 0.3, 0.0))
    pillar = index_of(maps.Shape(0.0, 0.0, 0.4))
    shapes = np.array([crate, pillar])
    poses = np.array([[0.0, 0.0, math.pi / 2], [3.0, 0.0, 1.0]])  # the crate lies along y
    points = np.array(
        [[0, 2], [-1, 0], [0.3 + 0.3, 0.5 + 0.4], [3, -2], [0.1, 0.1], [3, 0], [0, 4.9], [-4, -4.5]]
    )
    expected = [1.5, 0.7, 0.5, 1.6, 0.0, -0.4, 0.1, 0.5]
    np.testing.assert_allclose(maps.clearance(points, shapes, poses), expected, atol=1e-12)


def test_an_empty_arena_has_its_border_alone() -> None:
    nothing = np.zeros(0, np.int64), np.zeros((0, 3))
    assert maps.clearance(np.array([0.0, 1.0]), *nothing) == ARENA / 2 - 1
    drawn = maps.draw_map(3, 0)
    assert len(drawn.path) == 2
    assert maps.path_length(drawn.path) == pytest.approx(math.dist(drawn.start[:2], drawn.goal))


def densely(path: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [a + np.linspace(0, 1, 400)[:, None] * (b - a) for a, b in pairwise(path)]
    )


@pytest.mark.parametrize("num_obstacles", [6, 10, 16])
def test_every_map_has_a_way_that_a_robot_fits_through(num_obstacles: int) -> None:
    for seed in range(25):
        drawn = maps.draw_map(seed, num_obstacles)
        assert len(drawn.shapes) == len(drawn.poses) == num_obstacles
        np.testing.assert_array_equal(drawn.path[0], drawn.start[:2])
        np.testing.assert_array_equal(drawn.path[-1], drawn.goal)
        assert math.dist(drawn.start[:2], drawn.goal) >= maps.MIN_DISTANCE
        assert maps.clearance(densely(drawn.path), drawn.shapes, drawn.poses).min() > ROBOT_RADIUS


def test_going_straight_where_one_can_see_is_shorter_than_the_grid_but_not_than_a_line() -> None:
    ratios = []
    for seed in range(40):
        drawn = maps.draw_map(seed, 10)
        on_grid = maps.interpolate(drawn.distance, *drawn.start[:2])
        length = maps.path_length(drawn.path)
        assert math.dist(drawn.start[:2], drawn.goal) - 1e-9 <= length <= on_grid + 1e-9
        ratios.append(length / on_grid)
    assert np.mean(ratios) < 0.97


def test_most_maps_ask_for_a_detour() -> None:
    detours = [len(maps.draw_map(seed, 10).path) > 2 for seed in range(50)]
    assert np.mean(detours) > 0.5


def test_a_map_follows_from_its_seed() -> None:
    one, again, other = maps.draw_map(5, 10), maps.draw_map(5, 10), maps.draw_map(6, 10)
    for field in ("shapes", "poses", "start", "goal", "distance", "path"):
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
    assert not np.array_equal(one.poses, other.poses)
    assert not np.array_equal(one.goal, other.goal)


def test_obstacles_are_of_several_kinds() -> None:
    assert len(set(SHAPES)) == len(SHAPES)
    kinds = [{index_of(shape) for shape in kind} for kind in (PILLARS, CRATES, WALLS)]
    for seed in range(5):
        shapes = maps.draw_map(seed, 16).shapes.tolist()
        assert len(set(shapes)) == 16
        assert all(kind & set(shapes) for kind in kinds)


def test_interpolation_is_exact_on_a_slope_and_stays_inside() -> None:
    slope = 2 * maps.CENTERS[..., 0] - 3 * maps.CENTERS[..., 1] + 1
    for x, y in ((0.0, 0.0), (1.234, -3.21), (4.9, 4.9), (-4.9, 2.0)):
        assert maps.interpolate(slope, x, y) == pytest.approx(2 * x - 3 * y + 1)
    assert maps.interpolate(slope, 99.0, 0.0) == pytest.approx(2 * 4.9 + 1)


@pytest.mark.parametrize(
    ("position", "distance", "expected"),
    [((0.5, 0.3), 0.5, (1.0, 0.0)), ((0.5, -2.0), 2.5, (2.0, 1.0)), ((2.1, 0.95), 9.0, (2.0, 1.0))],
)
def test_the_point_ahead_on_a_path(position, distance: float, expected) -> None:
    path = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0]])
    np.testing.assert_allclose(maps.ahead_on(path, position, distance), expected, atol=1e-9)


def test_a_line_between_clear_points_stays_clear_of_the_robot() -> None:
    assert CLEARANCE - maps.SLACK > ROBOT_RADIUS
