"""Levels with their instruction: what is told, in which language, and when an episode ends."""

from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from common.text import to_bytes
from envs.grids.instructed import SENTENCE_BYTES, LanguageGridConfig, names, task_of
from envs.grids.minigrid import bot_of
from envs.grids.missions import fulfils, in_chinese


def text(row: Any) -> str:
    return bytes(row).rstrip(b"\0").decode()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("captions", [False, True])
def test_it_is_a_sound_environment(captions: bool) -> None:
    env = LanguageGridConfig("GoToLocal", captions=captions).build()
    check_env(env, skip_render_check=True)
    assert env.render().shape[2] == 3  # type: ignore[union-attr]


def test_names_lead_to_levels() -> None:
    assert LanguageGridConfig("gotolocal").name == "LanguageGoToLocal"
    assert task_of("LanguageGoToLocal") == "gotolocal"
    assert task_of("GoToLocal") == task_of("LanguageMultiRoom-N4-S5") == ""
    assert len(names()) > 50


def test_a_level_without_instructions_is_refused() -> None:
    with pytest.raises(ValueError, match="MultiRoom-N4-S5 is a level without instructions"):
        LanguageGridConfig("MultiRoom-N4-S5")


def test_languages_say_the_same() -> None:
    english, chinese, free = (
        LanguageGridConfig(language=x).build() for x in ("english", "chinese", "free-chinese")
    )
    for seed in range(5):
        told = text(english.reset(seed=seed)[0]["mission"])
        assert told == english.unwrapped.mission  # type: ignore[attr-defined]
        assert text(chinese.reset(seed=seed)[0]["mission"]) == in_chinese(told)
        first = text(free.reset(seed=seed)[0]["mission"])
        assert first == text(free.reset(seed=seed)[0]["mission"]), "a seed decides the wording"


def test_shuffled_is_another_episodes_instruction() -> None:
    env = LanguageGridConfig(shuffled=True).build()
    for seed in range(10):
        told = text(env.reset(seed=seed)[0]["mission"])
        assert told.startswith("go to ")
        assert told != env.unwrapped.mission  # type: ignore[attr-defined]


def test_a_level_with_one_mission_alone_cannot_be_shuffled() -> None:
    env = LanguageGridConfig("OpenRedBlueDoors", shuffled=True).build()
    with pytest.raises(ValueError, match=r"blue door'; leave out --env\.shuffled"):
        env.reset(seed=1)


@pytest.mark.parametrize("task", ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal"])
def test_the_last_caption_and_no_other_tells_of_the_success(task: str) -> None:
    env: Any = LanguageGridConfig(task, captions=True).build()
    told_before = 0
    for seed in range(6):
        observation, _ = env.reset(seed=seed)
        mission = text(observation["mission"])
        for place in (" on your left", " on your right", " in front of you", " behind you"):
            mission = mission.replace(place, "")
        bot, over, reward = bot_of(env.unwrapped), False, 0.0
        while not over:
            told = fulfils(text(observation["caption"]), mission)
            told_before += told
            observation, reward, over, _, info = env.step(0 if env.earned is not None else bot())
        assert told, "the observation before the last step tells it"
        assert info["is_success"] == (reward > 0.5)
    assert told_before < 12, "the deed is rarely told of without being the end"


def test_bytes_hold_whole_characters() -> None:
    row = to_bytes("球" * 100, SENTENCE_BYTES)
    assert row.shape == (128,)
    assert text(row) == "球" * 42
    assert text(to_bytes("go", SENTENCE_BYTES)) == "go"


def test_many_at_once_are_as_one() -> None:
    config = LanguageGridConfig("GoToLocal", language="chinese")
    vector = config.build_vector(3)
    observations: Any = vector.reset(seed=5)[0]
    single: Any = config.build().reset(seed=6)[0]
    np.testing.assert_array_equal(observations["mission"][1], single["mission"])
    np.testing.assert_array_equal(observations["image"][1], single["image"])
