"""Path planning: sensors and motion by hand, how episodes end, which maps are whose, and that it
can be solved."""

import math
import pickle
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_for_sb3

from envs.robots import maps, navigate
from envs.robots.maps import SHAPES, Map, Shape
from envs.robots.navigate import NavigateConfig, NavigateEnv, astar_action

STOP, AHEAD = np.zeros(2, np.float32), np.array([1, 0], np.float32)
FRONT = 0.5047  # from Husky's middle to the front of its chassis, in metres


@pytest.fixture
def env():
    built = NavigateConfig().build()
    assert isinstance(built, NavigateEnv)
    built.reset(seed=0)
    yield built
    built.close()


def lay_out(
    env: NavigateEnv, start, goal, *obstacles: tuple[Shape, float, float, float]
) -> np.ndarray:
    """Starts an episode on a map made by hand, whose distances to the goal are those of an empty
    arena."""
    shapes = np.array([SHAPES.index(shape) for shape, *_ in obstacles], np.int64)
    poses = np.array([pose for _, *pose in obstacles]).reshape(-1, 3)
    distance = np.linalg.norm(maps.CENTERS - np.array(goal), axis=-1)
    path = np.array([start[:2], goal], float)
    env.load(Map(shapes, poses, np.array(start, float), np.array(goal, float), distance, path))
    return env.step(STOP)[0]


@pytest.mark.parametrize("camera", [False, True])
def test_both_checkers_pass_without_a_warning(camera: bool) -> None:
    env = NavigateConfig(camera=camera).build()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=True)
        check_for_sb3(env)
    env.close()
    assert [str(warning.message) for warning in said] == []


@pytest.mark.parametrize(
    "wrong", [{"num_obstacles": -1}, {"num_obstacles": 17}, {"max_episode_steps": 0}]
)
def test_bad_values_are_told_in_one_line(wrong: dict[str, int]) -> None:
    with pytest.raises(
        ValueError, match=f"{next(iter(wrong))} must .*, not {next(iter(wrong.values()))}"
    ) as refusal:
        NavigateConfig(**wrong)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(refusal.value)


def test_a_config_can_be_sent_and_its_module_needs_no_pybullet_and_says_nothing() -> None:
    config = NavigateConfig(camera=True, num_obstacles=3)
    assert pickle.loads(pickle.dumps(config)) == config
    code = (
        "import sys; from envs.robots.navigate import NavigateConfig; assert 'pybullet' not in "
        "sys.modules\n"
        "env = NavigateConfig().build(); env.reset(); env.render(); env.close()"
    )
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_rays_measure_what_stands_around(env: NavigateEnv) -> None:
    pillar, crate, wall = Shape(0, 0, 0.5), Shape(0.25, 0.25, 0), Shape(1.5, 0.1, 0)
    seen = lay_out(
        env,
        (0, 1, math.pi / 2),
        (0, -4),
        (pillar, 0, 3, 0),
        (crate, -2, 1, 0),
        (wall, 3, 1, math.pi / 2),
    )  # heading along y: the pillar is ahead, the crate on the left, the wall on the right
    assert seen[0] == pytest.approx((2 - 0.5) / 5, abs=1e-3)
    assert seen[9] == pytest.approx((2 - 0.25) / 5, abs=1e-3)
    assert seen[27] == pytest.approx((3 - 0.1) / 5, abs=1e-3)
    oblique = math.radians(20)
    assert seen[25] == pytest.approx((3 - 0.1) / math.cos(oblique) / 5, abs=1e-3)
    assert seen[18] == 1.0  # the arena's border is 6 m behind


def test_the_goal_is_seen_from_the_robot_and_motion_is_known(env: NavigateEnv) -> None:
    seen = lay_out(env, (1, 0, math.pi / 2), (-3, 3))
    np.testing.assert_allclose(seen[36:39], [5 / math.hypot(10, 10), 0.6, 0.8], atol=1e-6)
    np.testing.assert_allclose(seen[39:], 0)
    seen = env.step(np.array([0.4, -0.5], np.float32))[0]
    np.testing.assert_allclose(seen[39:], [0.4, -0.5, 0.4, -0.5], atol=1e-6)


def test_speed_takes_time(env: NavigateEnv) -> None:
    lay_out(env, (0, 0, 0), (4, 4))
    info = env.step(AHEAD)[4]  # 3 m/s², in four parts of 50 ms
    assert env.speed == pytest.approx(0.6)
    way = 0.05 * (0.15 + 0.3 + 0.45 + 0.6)
    np.testing.assert_allclose(env.pose, (way, 0, 0), atol=1e-12)
    assert info["path_length"] == pytest.approx(way)
    for _ in range(3):
        env.step(AHEAD)
    assert env.speed == 1.0
    env.step(-AHEAD)
    assert env.speed == pytest.approx(0.4)


def test_turning_is_anticlockwise_and_on_the_spot(env: NavigateEnv) -> None:
    lay_out(env, (1, 1, 0), (4, 4))
    env.step(np.array([0, 1], np.float32))  # 6 rad/s²
    assert env.turn == pytest.approx(1.2)
    np.testing.assert_allclose(env.pose, (1, 1, 0.05 * (0.3 + 0.6 + 0.9 + 1.2)), atol=1e-12)


def test_a_collision_ends_the_episode_and_costs(env: NavigateEnv) -> None:
    lay_out(env, (0, 0, 0), (4.5, 0), (Shape(0.5, 0.5, 0), 2.5, 0, 0))
    rewards = []
    for _ in range(20):
        _, reward, terminated, truncated, info = env.step(AHEAD)
        rewards.append(reward)
        if terminated:
            break
    assert terminated
    assert not truncated
    assert not info["is_success"]
    assert 2.0 - FRONT <= env.pose[0] <= 2.0 - FRONT + 0.05
    assert rewards[-1] < -4.5
    assert sum(rewards) == pytest.approx(env.pose[0] - 5 - 0.02 * len(rewards), abs=0.01)


def test_reaching_the_goal_ends_the_episode_and_pays(env: NavigateEnv) -> None:
    lay_out(env, (0, 0, 0), (2, 0))
    ends = []
    while not ends or not ends[-1][0]:
        _, reward, terminated, truncated, info = env.step(AHEAD)
        ends.append((terminated, truncated, info["is_success"]))
    assert ends == [(False, False, False)] * (len(ends) - 1) + [(True, False, True)]
    assert math.dist(env.pose[:2], (2, 0)) <= 0.5
    assert reward > 5
    assert info["shortest_path"] == pytest.approx(1.5)
    assert 1.5 <= info["path_length"] <= 1.7


def test_time_truncates_and_does_not_terminate() -> None:
    env = NavigateConfig(max_episode_steps=7).build()
    env.reset(seed=1)
    ends = [env.step(STOP)[2:4] for _ in range(7)]
    env.close()
    assert ends == [(False, False)] * 6 + [(False, True)]


def test_rewards_add_up_to_the_way_won_around_obstacles(env: NavigateEnv) -> None:
    env.reset(seed=9)
    before, rewards = maps.interpolate(env.map.distance, *env.pose[:2]), []
    for _ in range(15):
        rewards.append(env.step(astar_action(env))[1])
    won = before - maps.interpolate(env.map.distance, *env.pose[:2])
    assert won > 1
    assert sum(rewards) == pytest.approx(won - 15 * 0.02)


def episodes(env: gymnasium.Env, policy, number: int) -> tuple[float, list[float]]:
    """The share of successes, and how many times the shortest path was driven in each of them."""
    env.reset(seed=11)
    ratios = []
    for _ in range(number):
        env.reset()
        ended = False
        while not ended:
            _, _, terminated, truncated, info = env.step(policy())
            ended = terminated or truncated
        if info["is_success"]:
            ratios.append(info["path_length"] / info["shortest_path"])
    return len(ratios) / number, ratios


def test_a_planner_solves_it_and_chance_does_not() -> None:
    env = NavigateConfig(held_out=True).build()
    env.action_space.seed(0)
    successes, ratios = episodes(env, lambda: astar_action(env), 25)
    assert successes >= 0.95
    assert 1.0 < np.mean(ratios) < 1.1
    assert episodes(env, env.action_space.sample, 15)[0] <= 0.1
    env.close()


def test_a_seed_is_an_episode_and_the_next_one_another() -> None:
    def episode() -> tuple[np.ndarray, np.ndarray]:
        env = NavigateConfig(num_obstacles=6).build()
        rng = np.random.default_rng(0)
        seen = [env.reset(seed=7)[0]]
        seen += [env.step(rng.uniform(-1, 1, 2).astype(np.float32))[0] for _ in range(20)]
        then = env.reset()[0]
        env.close()
        return np.stack(seen), then

    one, again = episode(), episode()
    np.testing.assert_array_equal(one[0], again[0])
    np.testing.assert_array_equal(one[1], again[1])
    assert not np.array_equal(one[0][0], one[1])


@pytest.mark.parametrize("held_out", [False, True])
def test_training_and_evaluation_never_share_a_map(
    held_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds, draw_map = [], maps.draw_map
    monkeypatch.setattr(
        maps, "draw_map", lambda seed, number: seeds.append(seed) or draw_map(seed, number)
    )
    env = NavigateConfig(held_out=held_out).build()
    for seed in range(10):
        env.reset(seed=seed)
    env.close()
    assert len(set(seeds)) == 10
    assert {seed % 2 for seed in seeds} == {int(held_out)}


def test_the_camera_sees_obstacles_and_goal_and_films_leave_it_alone() -> None:
    env = NavigateConfig(camera=True).build()
    assert isinstance(env, NavigateEnv)
    env.reset(seed=0)
    red, green = Shape(0.5, 0.5, 0), (0, 0)
    lay_out(env, (-3, 0, 0), green, (red, 3, 3, 0))
    ahead = env.step(STOP)[0]["camera"].astype(int)
    assert ahead.shape == (3, 48, 64)
    middle = ahead[:, 24:, 24:40]
    assert ((middle[1] - middle[0] > 50) & (middle[1] - middle[2] > 50)).any()
    env.render()
    np.testing.assert_array_equal(env.step(STOP)[0]["camera"], ahead)
    lay_out(env, (-3, 0, math.pi), green, (red, -4.5, 0, 0))
    away = env.step(STOP)[0]["camera"].astype(int)
    assert not (away[1] - away[0] > 50).any()
    assert (away[0] - away[1] > 30).mean() > 0.05
    env.close()


def test_films_show_the_goal_and_the_way(env: NavigateEnv) -> None:
    lay_out(env, (-3, -3, 0), (3, 3))
    before = np.asarray(env.render()).astype(int)
    for _ in range(10):
        env.step(AHEAD)
    after = np.asarray(env.render()).astype(int)
    assert before.shape == (navigate.FILM_SIZE, navigate.FILM_SIZE, 3)
    rows, columns = np.nonzero(
        (before[..., 1] - before[..., 0] > 50) & (before[..., 1] - before[..., 2] > 50)
    )
    assert len(rows) > 100
    assert rows.mean() < navigate.FILM_SIZE / 2 < columns.mean()  # up and on the right
    orange = [(frame == (255, 140, 0)).all(axis=-1).sum() for frame in (before, after)]
    assert orange[1] > orange[0] + 30


def test_two_in_one_process_know_nothing_of_each_other(env: NavigateEnv) -> None:
    other = NavigateConfig().build()
    alone = lay_out(env, (0, 0, 0), (4, 4))
    other.reset(seed=3)
    other.step(AHEAD)
    other.close()
    other.close()
    np.testing.assert_array_equal(env.step(STOP)[0], alone)


@pytest.mark.parametrize("parallel", [False, True])
def test_robots_in_step_reset_in_the_same_step(parallel: bool) -> None:
    env = NavigateConfig(max_episode_steps=3, parallel=parallel).build_vector(2)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    first, _ = env.reset(seed=5)
    for _ in range(3):
        observations, _, terminated, truncated, info = env.step(np.zeros((2, 2), np.float32))
    env.close()
    assert truncated.all()
    assert not terminated.any()
    np.testing.assert_array_equal(info["final_obs"][1], first[1])  # it stood still
    assert not np.array_equal(observations, first)
    assert info["final_info"]["is_success"].tolist() == [False, False]


def test_many_resets_leave_nothing_behind(env: NavigateEnv) -> None:
    bodies = env._client.getNumBodies()
    for _ in range(20):
        env.reset()
    before = psutil.Process().memory_info().rss
    for _ in range(200):
        env.reset()
        env.step(AHEAD)
    assert psutil.Process().memory_info().rss - before < 4 * 2**20
    assert env._client.getNumBodies() == bodies
