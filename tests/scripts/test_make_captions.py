"""Pairs of captions and missions: right ones, near misses, and combinations that are in no line to train on."""

from pathlib import Path

from envs.missions import fulfils
from scripts.make_captions import COMBINATION, Settings, main, orders, split


def test_lines_say_whether_the_caption_fulfils_the_mission(tmp_path: Path) -> None:
    main(["--output", str(tmp_path)])
    for part in ("train", "test"):
        rows = [line.split("\t") for line in (tmp_path / f"captions-{part}.tsv").read_text().splitlines()]
        assert len(rows) > 3_000
        assert all(fulfils(caption, mission) == (match == "1") for caption, mission, match in rows)
        assert 0.1 < sum(match == "1" for *_, match in rows) / len(rows) < 0.4
    before = (tmp_path / "captions-test.tsv").read_bytes()
    main(["--output", str(tmp_path), "--seed", "5"])
    assert (tmp_path / "captions-test.tsv").read_bytes() == before


def test_what_is_tested_on_was_in_no_line_to_train_on() -> None:
    train, test = split(Settings(held_out=4))
    known = {found for caption, mission, _ in train for found in COMBINATION.findall(f"{caption}. {mission}")}
    assert len(known) == 24 - 4
    assert all(set(COMBINATION.findall(f"{caption}. {mission}")) - known for caption, mission, _ in test)


def test_some_missions_name_a_thing_without_its_colour_or_kind() -> None:
    assert {"go to a ball", "pick up the red object", "open the door", "put the red ball next to a grey key"} <= {
        *orders()
    }
