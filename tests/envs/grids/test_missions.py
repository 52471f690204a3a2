"""Missions in two languages, and what fulfils them."""

import contextlib
import io

import gymnasium
import numpy as np
import pytest

from envs.grids.minigrid import tasks
from envs.grids.missions import NOTHING, captions, fulfils, in_chinese, missions


def test_templates_say_what_the_english_says() -> None:
    assert in_chinese("go to the red ball") == "走到那个红色的球那里"
    assert in_chinese("pick up a key") == "捡起一把钥匙"
    assert in_chinese("open the blue door on your left") == "打开你左边的那扇蓝色的门"
    assert (
        in_chinese("put a red ball next to the green box") == "把一个红色的球放到那个绿色的箱子旁边"
    )
    first_then = "捡起一把钥匙，然后打开那扇红色的门"
    assert in_chinese("pick up a key, then open the red door") == first_then
    assert in_chinese("open the red door after you pick up a key") == first_then, (
        "what is done first is said first"
    )


def test_no_two_missions_are_the_same_in_chinese() -> None:
    for wording in (
        lambda mission: in_chinese(mission),
        lambda mission: in_chinese(mission, np.random.default_rng(0)),
    ):
        assert len({wording(mission) for mission in missions()}) == len(set(missions())) == 1320


def test_free_wordings_differ_and_never_lose_a_color() -> None:
    random = np.random.default_rng(1)
    said = {in_chinese("go to the grey box", random) for _ in range(300)}
    assert len(said) > 100
    assert all("灰" in sentence for sentence in said)


@pytest.mark.parametrize(
    "task", ["GoToLocal", "PickupLoc", "OpenDoor", "PutNextLocal", "Synth", "BossLevel"]
)
def test_every_mission_of_babyai_can_be_said_in_chinese(task: str) -> None:
    env = gymnasium.make(tasks()[task.lower()])
    for seed in range(5):
        with contextlib.redirect_stdout(io.StringIO()):
            mission = env.reset(seed=seed)[0]["mission"]
        assert not any(letter.isascii() for letter in in_chinese(mission))


def test_another_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match="'dance' is none of BabyAI's sentences"):
        in_chinese("dance")


@pytest.mark.parametrize(
    ("caption", "mission", "right"),
    [
        ("you are in front of the red ball", "go to the red ball", True),
        ("you are in front of the red ball", "go to a ball", True),
        ("you are in front of the red ball", "go to the object", True),
        ("you are in front of the red ball", "go to the blue ball", False),
        ("you are in front of the red ball", "pick up the red ball", False),
        ("you have picked up the red ball", "go to the red ball", False),
        (
            "you have put the red ball next to the grey key",
            "put the red ball next to a grey key",
            True,
        ),
        (
            "you have put the red ball next to the grey key",
            "put the grey key next to the red ball",
            False,
        ),
        (
            "you have put the red ball next to the box and the grey key",
            "put a red ball next to the grey key",
            True,
        ),
        (NOTHING, "go to the red ball", False),
    ],
)
def test_what_fulfils_a_mission(caption: str, mission: str, right: bool) -> None:
    assert fulfils(caption, mission) == right


def test_each_mission_is_fulfilled_by_one_caption_and_no_other() -> None:
    told = captions()
    for mission in missions()[::37]:
        assert sum(fulfils(caption, mission) for caption in told) == 1
