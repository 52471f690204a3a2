"""Pairs of captions and missions: right ones, near misses, and combinations that are in no line to
train on."""

from pathlib import Path

import numpy as np
import pytest

from envs.grids.missions import fulfils
from scripts.make_captions import COMBINATION, Settings, main, orders, pairs_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("captions")
    main(["--output", str(made)])
    return made


def rows(folder: Path, part: str) -> list[list[str]]:
    return [line.split("\t") for line in (folder / f"captions-{part}.tsv").read_text().splitlines()]


@pytest.mark.parametrize("part", ["train", "test"])
def test_lines_say_whether_the_caption_fulfils_the_mission(folder: Path, part: str) -> None:
    told = rows(folder, part)
    assert len(told) > 3_000
    assert all(fulfils(caption, mission) == (match == "1") for caption, mission, match in told)
    assert 0.1 < sum(match == "1" for *_, match in told) / len(told) < 0.4


def test_what_is_tested_on_was_in_no_line_to_train_on(folder: Path) -> None:
    train = rows(folder, "train")
    known = {
        found
        for caption, mission, _ in train
        for found in COMBINATION.findall(f"{caption}. {mission}")
    }
    assert len(known) == 24 - 6
    assert all(
        set(COMBINATION.findall(f"{caption}. {mission}")) - known
        for caption, mission, _ in rows(folder, "test")
    )


def test_files_that_are_there_stay_as_they_are(folder: Path) -> None:
    before = (folder / "captions-test.tsv").read_bytes()
    main(["--output", str(folder), "--seed", "5"])
    assert (folder / "captions-test.tsv").read_bytes() == before


def test_some_missions_name_a_thing_without_its_color_or_kind() -> None:
    assert {
        "go to a ball",
        "pick up the red object",
        "open the door",
        "put the red ball next to a grey key",
    } <= {*orders()}


def test_no_near_miss_fulfils_the_mission_however_many_are_asked_for() -> None:
    missions = ["open the red door", "go to a ball"]
    told = pairs_of(missions, Settings(near_misses=300), np.random.default_rng(0))
    assert sum(not match for *_, match in told) > 300
    assert all(fulfils(caption, mission) == match for caption, mission, match in told)
