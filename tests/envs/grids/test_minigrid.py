"""Grids: their names, what is seen, and the bot that shows how it is done."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_stable_baselines3

from envs.grids.minigrid import GridConfig, bot_of, names, spellings, tasks
from envs.names import plain


def test_each_task_is_known_by_every_spelling() -> None:
    assert len(names()) > 100
    for id in set(tasks().values()):
        config = GridConfig(task=id)
        assert tasks()[plain(config.name)] == id, "its name leads back to it"
        assert config.name in spellings(id)
    assert GridConfig("gotoredballgrey").name == "GoToRedBallGrey"
    assert GridConfig("MultiRoom-N4-S5-v0") != GridConfig("MultiRoom-N4-S5")


def test_a_short_name_means_the_newest_version() -> None:
    # The first one had six rooms by mistake.
    assert GridConfig("MultiRoom-N4-S5").build().unwrapped.minNumRooms == 4  # type: ignore[attr-defined]
    assert GridConfig("MultiRoom-N4-S5-v0").build().unwrapped.minNumRooms == 6  # type: ignore[attr-defined]


def test_an_unknown_task_is_told_with_near_matches() -> None:
    with pytest.raises(ValueError, match=r"no grid 'MultiRoomN6S4'.*Did you mean.*MultiRoom-N6"):
        GridConfig("MultiRoomN6S4")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("task", ["MultiRoom-N4-S5", "GoToRedBallGrey", "MemoryS7"])
def test_it_is_a_sound_environment(task: str, capsys) -> None:
    env = GridConfig(task).build()
    check_env(env, skip_render_check=True)
    check_for_stable_baselines3(env)
    assert env.render().shape[2] == 3  # type: ignore[union-attr]
    assert capsys.readouterr().out == ""


def test_success_is_a_reward_and_time_truncates() -> None:
    env = GridConfig("GoToRedBallGrey").build()
    env.reset(seed=3)
    bot, over, steps = bot_of(env.unwrapped), False, 0
    while not over:
        _, reward, over, truncated, info = env.step(bot())
        assert info["is_success"] == over
        assert not truncated
        steps += 1
    assert reward == pytest.approx(1 - 0.9 * steps / 64)

    env.reset(seed=3)
    for step in range(64):
        _, reward, terminated, truncated, info = env.step(6)  # waiting
        assert (reward, terminated, info["is_success"]) == (0, False, False)
        assert truncated == (step == 63)


def test_a_seed_decides_the_level() -> None:
    env = GridConfig("GoToLocal").build()
    levels = [env.reset(seed=seed)[0] for seed in (1, 1, *range(2, 12))]
    np.testing.assert_array_equal(levels[0], levels[1])
    assert len({level.tobytes() for level in levels}) > 5


def test_the_bot_wants_an_instruction() -> None:
    env = GridConfig("MultiRoom-N6").build()
    env.reset(seed=1)
    with pytest.raises(ValueError, match="bot cannot play"):
        bot_of(env.unwrapped)
