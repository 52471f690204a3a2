"""KukaGrasp: checkers, what decides a grasp, shaping, the held-out shapes, and the span between
blind and oracle."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_sb3

from envs.robots.grasp import (
    HELD_OUT_SHAPES,
    START,
    STEPS_DOWN,
    TRAINING_SHAPES,
    KukaGrasp,
    KukaGraspConfig,
    blind_action,
    distances_sideways,
    inverse_kinematics,
    oracle_action,
)


@pytest.fixture(scope="module")
def arm():
    env = KukaGrasp(KukaGraspConfig())
    yield env
    env.close()


def play(
    arm: KukaGrasp, policy: Callable[[], Any], seed: int
) -> list[tuple[float, bool, bool, bool]]:
    """An episode's steps as (reward, terminated, truncated, success)."""
    arm.reset(seed=seed)
    steps = []
    while not steps or not (steps[-1][1] or steps[-1][2]):
        _, reward, terminated, truncated, info = arm.step(policy())
        steps.append((reward, terminated, truncated, info["is_success"]))
    return steps


@pytest.mark.parametrize(
    "config", [KukaGraspConfig(), KukaGraspConfig(size=48, depth=True, control_height=True)]
)
@pytest.mark.filterwarnings("ignore:.*(CnnPolicy|symmetric).*")
def test_both_checkers_pass(config: KukaGraspConfig) -> None:
    env = config.build()
    check_env(env, skip_render_check=True)
    check_for_sb3(env)
    env.close()


@pytest.mark.parametrize(
    "bad",
    [
        {"size": 8},
        {"num_objects": 0},
        {"num_objects": 5},
        {"discount": 0.0},
        {"max_episode_steps": 3},
    ],
    ids=str,
)
def test_a_bad_setting_is_refused_in_one_line_that_names_it(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))) as refusal:
        KukaGraspConfig(**bad)
    assert "\n" not in str(refusal.value)


def test_who_knows_where_objects_lie_grasps_them_and_who_does_not_seldom_does(
    arm: KukaGrasp,
) -> None:
    rng = np.random.default_rng(0)
    oracle = [play(arm, lambda: oracle_action(arm), seed)[-1][3] for seed in range(20)]
    blind = [play(arm, lambda: blind_action(arm, rng), seed)[-1][3] for seed in range(20)]
    assert np.mean(oracle) >= 0.95
    assert np.mean(blind) <= 0.3


def test_the_eighth_step_grasps_and_only_a_lifted_object_is_rewarded(arm: KukaGrasp) -> None:
    steps = play(arm, lambda: oracle_action(arm), seed=0)
    assert len(steps) == STEPS_DOWN == 8
    assert steps[-1] == (1.0, True, False, True)
    assert all(step == (0.0, False, False, False) for step in steps[:-1])
    # As far from the object as the hand can go.
    arm.reset(seed=0)
    away = -np.sign(arm.object_poses()[0, :2] - arm.hand[:2])
    assert play(arm, lambda: np.array([*away, 0.0]), seed=0)[-1] == (0.0, True, False, False)


def test_a_seed_decides_an_episode_whatever_came_before(arm: KukaGrasp) -> None:
    def images() -> list[np.ndarray]:
        first, _ = arm.reset(seed=3)
        return [first, *(arm.step(np.array([0.3, -0.2, 0.1]))[0] for _ in range(4))]

    before = images()
    play(arm, lambda: oracle_action(arm), seed=8)
    for a, b in zip(before, images(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fingertips_go_where_they_are_told(arm: KukaGrasp) -> None:
    """Of the closed-form angles, PyBullet's own kinematics must give back the position: fingers are
    links 10 and 13."""
    arm.reset(seed=0)
    for target in ([0.6, 0.0, START, 0.0], [0.7, 0.1, 0.1, 0.8], [0.5, -0.1, 0.06, -1.5]):
        arm.hand[:] = target
        arm._place_arm()
        tips = [
            arm._client.getLinkState(arm._arm, link, computeForwardKinematics=True)[0]
            for link in (10, 13)
        ]
        np.testing.assert_allclose(np.mean(tips, axis=0)[:2], target[:2], atol=0.004)
    assert len(inverse_kinematics(*[0.6, 0.0, START, 0.0])) == 8


def test_the_image_shows_the_object_and_its_depth() -> None:
    env = KukaGrasp(KukaGraspConfig(depth=True))
    image, _ = env.reset(seed=1)
    assert image.shape == (4, 64, 64)
    other, _ = env.reset(seed=2)
    assert (image[:3] != other[:3]).any()
    # The tray is about 70 cm away, of which 40 are not counted, of 80 that are: the floor at the
    # image's edge.
    assert 60 < np.median(image[3]) < 130
    env.close()


def test_shaping_telescopes_to_minus_the_distance_at_first() -> None:
    """Potential-based shaping sums, discounted, to minus the first potential (Ng et al. 1999), here
    10 a metre."""
    env = KukaGrasp(KukaGraspConfig(shaped=True, discount=0.9))
    env.reset(seed=4)
    first = 10.0 * distances_sideways(env).min()
    rng = np.random.default_rng(1)
    steps = play(env, lambda: blind_action(env, rng), seed=4)
    total = sum(0.9**t * reward for t, (reward, *_) in enumerate(steps))
    assert total - 0.9**7 * steps[-1][3] == pytest.approx(first)
    env.close()


def test_with_height_control_time_truncates_and_the_hand_stays_up() -> None:
    env = KukaGrasp(KukaGraspConfig(control_height=True, max_episode_steps=9))
    steps = play(env, lambda: np.array([0.0, 0.0, 0.0, 1.0]), seed=0)
    assert len(steps) == 9
    assert steps[-1] == (0.0, False, True, False)
    assert play(env, lambda: oracle_action(env), seed=0)[-1][3]
    env.close()


def test_held_out_shapes_are_others_and_can_be_grasped() -> None:
    assert not set(TRAINING_SHAPES) & set(HELD_OUT_SHAPES)
    env = KukaGrasp(KukaGraspConfig(held_out=True, num_objects=2))
    assert len(env._pool) == 15
    assert (
        np.mean([play(env, lambda: oracle_action(env), seed)[-1][3] for seed in range(8)]) >= 0.75
    )
    film = env.render()
    assert (film.shape, film.dtype) == ((240, 320, 3), np.uint8)
    env.close()
