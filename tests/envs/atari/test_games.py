"""Atari: every game in any spelling, and the native vector against the single environment."""

import re
from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest
from ale_py import roms
from gymnasium.vector import AutoresetMode, VectorEnv

from envs.atari.games import (
    OBSERVATION_SPACE,
    REFERENCE_SCORES,
    AtariConfig,
    display_names,
    games,
    gymnasium_id,
    rom_of,
)

FOR_SEVERAL_PLAYERS = ("Combat", "Joust", "MazeCraze", "Warlords")


def test_every_game_for_one_player_is_known_by_its_gymnasium_name() -> None:
    # ale-py ships 108 ROMs; four of them need several players, and neither environment can load
    # them.
    assert len([rom for rom in roms.get_all_rom_ids() if roms.get_rom_path(rom)]) == 108
    assert len(games()) == 104
    gymnasium.register_envs(ale_py)
    for rom in games().values():
        spec = gymnasium.spec(gymnasium_id(rom))
        assert spec.kwargs["game"] == rom, (
            "the name stands for the same ROM in the single and the native environment"
        )


@pytest.mark.parametrize("game", FOR_SEVERAL_PLAYERS)
def test_a_game_for_several_players_is_refused_in_one_line(game: str) -> None:
    # Not by building: ale-py ends the whole process where it cannot load a ROM.
    for lookup in (rom_of, gymnasium_id):
        with pytest.raises(ValueError, match=game) as refusal:
            lookup(game)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "spelling", ["SpaceInvaders", "space_invaders", "Space-Invaders", "SPACE INVADERS"]
)
def test_a_game_is_known_in_any_spelling(spelling: str) -> None:
    assert rom_of(spelling) == "space_invaders"
    assert gymnasium_id(spelling) == "ALE/SpaceInvaders-v5"
    assert AtariConfig(spelling).reference_scores == {"random": 148.0, "human": 1668.7}


def test_a_game_with_digits_is_known() -> None:
    assert gymnasium_id("video_chess").endswith("VideoChess-v5")
    assert rom_of(display_names()["tictactoe3d"]) == "tic_tac_toe_3d"


@pytest.mark.parametrize("what", [rom_of, gymnasium_id, lambda game: AtariConfig(game).build()])
def test_an_unknown_game_is_told_with_near_matches(what: Any) -> None:
    with pytest.raises(
        ValueError, match=r"no Atari game 'SpaceInvader'.*Did you mean SpaceInvaders"
    ) as refusal:
        what("SpaceInvader")
    assert "\n" not in str(refusal.value)


def test_an_unknown_game_with_nothing_near_is_told_alone() -> None:
    with pytest.raises(ValueError, match=re.escape("There is no Atari game 'xyzzy'.") + "$"):
        rom_of("xyzzy")


@pytest.mark.parametrize("chance", [-0.1, 1.0, float("nan")])
def test_a_repeat_chance_outside_its_range_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="repeat_action_probability"):
        AtariConfig("Pong", repeat_action_probability=chance)


def test_published_scores_are_of_57_shipped_games_and_humans_beat_chance() -> None:
    assert len(REFERENCE_SCORES) == 57
    assert set(REFERENCE_SCORES) <= set(games())
    assert all(random < human for random, human in REFERENCE_SCORES.values())


def test_a_game_without_published_scores_has_none() -> None:
    assert AtariConfig("Tetris").reference_scores == {}


def pair(game: str, **fields: Any) -> tuple[VectorEnv, gymnasium.Env]:
    config = AtariConfig(game, noop_max=0, **fields)
    return config.build_vector(1), config.build()


@pytest.mark.parametrize("full", [False, True], ids=["own actions", "all actions"])
@pytest.mark.parametrize("game", ["SpaceInvaders", "Breakout"])
def test_the_native_vector_and_the_single_environment_have_the_same_spaces(
    game: str, full: bool
) -> None:
    vector, single = pair(game, full_action_space=full)
    assert vector.single_observation_space == single.observation_space
    assert vector.single_action_space == single.action_space
    assert single.observation_space == OBSERVATION_SPACE
    assert single.action_space.n == (18 if full else {"SpaceInvaders": 6, "Breakout": 4}[game])  # type: ignore[attr-defined]
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP


@pytest.mark.parametrize("game", ["SpaceInvaders", "Breakout", "Pong"])
def test_the_native_vector_plays_the_same_game_as_the_single_environment(game: str) -> None:
    vector, single = pair(game)
    seen, info = vector.reset(seed=3)
    observation, single_info = single.reset(seed=3)
    assert observation[:3].max() == seen[0, :3].max() == 0, "what was before the start is black"
    # The native reset presses FIRE for a frame; bring the single one to the same frame.
    for _ in range(info["frame_number"][0] - single_info["frame_number"]):
        single.unwrapped.ale.act(1)  # type: ignore[attr-defined]
    rng, rewards = np.random.default_rng(0), 0.0
    for step in range(200):
        action = rng.integers(single.action_space.n)  # type: ignore[attr-defined]
        seen, reward, terminated, truncated, info = vector.step(np.array([action]))
        observation, single_reward, single_terminated, single_truncated, single_info = single.step(
            int(action)
        )
        if step >= 4:  # by then no frame from before the start is left in the stack
            np.testing.assert_array_equal(seen[0], observation)
        assert reward[0] == single_reward
        assert (terminated[0], truncated[0]) == (single_terminated, single_truncated)
        assert info["lives"][0] == single_info["lives"]
        assert info["frame_number"][0] == single_info["frame_number"]
        rewards += abs(float(reward[0]))
    assert rewards > 0, "nothing happened that could have differed"


def test_in_a_film_the_ball_is_served_as_it_is_in_training() -> None:
    vector, single = pair("Breakout")
    vector.reset(seed=0)
    single.reset(seed=0)
    for _ in range(60):  # Without a hand on the paddle, a ball in play is soon lost.
        *_, info = vector.step(np.array([0]))
        *_, single_info = single.step(0)
    assert info["lives"][0] < 5
    assert single_info["lives"] < 5


def test_rewards_are_the_games_own_points() -> None:
    vector, _ = pair("SpaceInvaders")
    vector.reset(seed=0)
    rng = np.random.default_rng(0)
    rewards = {float(vector.step(rng.integers(6, size=1))[1][0]) for _ in range(300)}
    assert rewards - {0.0} <= {float(points) for points in range(5, 205, 5)}
    assert len(rewards) > 2


def test_a_lost_life_is_marked_on_its_step_and_only_there() -> None:
    marked = AtariConfig("Breakout", noop_max=0).build_vector(3)
    bare = AtariConfig("Breakout", noop_max=0, lost_life_terminates=False).build_vector(3)
    _, info = marked.reset(seed=1)
    bare.reset(seed=1)
    lives, rng = info["lives"].tolist(), np.random.default_rng(0)
    lost = ended = 0
    for _ in range(320):
        actions = rng.integers(4, size=3)
        _, _, terminated, truncated, info = marked.step(actions)
        _, _, bare_terminated, bare_truncated, bare_info = bare.step(actions)
        assert "learning_terminated" not in bare_info
        np.testing.assert_array_equal(terminated, bare_terminated)
        np.testing.assert_array_equal(truncated, bare_truncated)
        for n in range(3):
            # In the step that ends a game the counter is already the next game's five.
            wanted = bare_info["lives"][n] == lives[n] - 1 or bool(terminated[n])
            assert info["learning_terminated"][n] == wanted
            lost, ended = lost + wanted, ended + bool(terminated[n])
        lives = bare_info["lives"].tolist()
    assert ended >= 2
    assert lost >= 5 * ended


def test_the_marks_start_anew_after_a_reset() -> None:
    vector = AtariConfig("Breakout", noop_max=0).build_vector(1)
    vector.reset(seed=1)
    while True:
        *_, info = vector.step(np.array([0]))
        if info["learning_terminated"][0]:
            break
    for _ in range(2):
        vector.reset(seed=1)
        *_, info = vector.step(np.array([0]))
        assert not info["learning_terminated"][0]


@pytest.mark.parametrize("lost_life_terminates", [True, False])
def test_the_frame_limit_truncates_and_does_not_terminate(lost_life_terminates: bool) -> None:
    vector, single = pair(
        "Pong", max_frames_per_episode=60, lost_life_terminates=lost_life_terminates
    )
    vector.reset(seed=0)
    single.reset(seed=0)
    for step in range(1, 16):
        _, _, terminated, truncated, info = vector.step(np.array([0]))
        _, _, single_terminated, single_truncated, _ = single.step(0)
        assert not terminated[0]
        assert not single_terminated
        assert not info.get("learning_terminated", terminated)[0]
        assert truncated[0] == single_truncated == (step == 15)  # 60 frames, four a step
    assert np.stack(info["final_obs"]).shape == (1, 4, 84, 84)
    assert np.stack(info["final_obs"])[0].any()


def test_episodes_start_after_different_numbers_of_idle_frames() -> None:
    _, info = AtariConfig("Pong", noop_max=30).build_vector(16).reset(seed=0)
    frames = info["frame_number"]
    assert len(set(frames.tolist())) > 4
    assert frames.max() <= 32


def test_a_seed_decides_the_game() -> None:
    config, runs = AtariConfig("Pong", repeat_action_probability=0.25), []
    for seed in (1, 1, 2):
        vector = config.build_vector(2)
        vector.reset(seed=seed)
        rng = np.random.default_rng(0)
        runs.append(np.stack([vector.step(rng.integers(6, size=2))[0] for _ in range(60)]))
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0][:, 0], runs[0][:, 1])
