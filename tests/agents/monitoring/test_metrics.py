"""Metrics: the same names and steps in TensorBoard and progress.jsonl, also after a resume."""

import io
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.monitoring.metrics import (
    LineDisplay,
    LiveDisplay,
    RunLog,
    episode_metrics,
    memory_metrics,
    read_progress,
    speed_metrics,
    summary,
)


def events(run_dir: Path) -> EventAccumulator:
    return EventAccumulator(str(run_dir), size_guidance={"scalars": 0, "images": 0}).Reload()


def in_tensorboard(run_dir: Path) -> dict[str, dict[int, float]]:
    """name -> env steps -> value, of all scalars but those that describe the experiment."""
    read = events(run_dir)
    return {tag: {e.step: e.value for e in read.Scalars(tag)} for tag in read.Tags()["scalars"]}


def in_progress(run_dir: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for line in read_progress(run_dir / "progress.jsonl"):
        for name, value in line.items():
            if name not in ("env_steps", "time"):
                found.setdefault(name, {})[line["env_steps"]] = value
    return found


def write(run_dir: Path, resumed_at: int, rows: dict[int, dict[str, float]]) -> None:
    log = RunLog(run_dir, resumed_at)
    for env_steps, metrics in rows.items():
        log.scalars(env_steps, metrics)
    log.close()


def row(number: float) -> dict[str, float]:
    return {
        "episode/return_mean": number,
        "learner/loss": -number,
        "speed/env_steps_per_second": 2 * number,
    }


def test_tensorboard_and_progress_hold_the_same_names_steps_and_values(tmp_path: Path) -> None:
    write(tmp_path, 0, {100: row(1.5), 200: row(2.5)})
    expected = {
        "episode/return_mean": {100: 1.5, 200: 2.5},
        "learner/loss": {100: -1.5, 200: -2.5},
        "speed/env_steps_per_second": {100: 3.0, 200: 5.0},
    }
    assert in_progress(tmp_path) == expected
    assert in_tensorboard(tmp_path) == expected


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, 0, {100: row(1), 200: row(2), 300: row(3), 400: row(4)})
    write(tmp_path, 250, {350: row(5)})
    expected = {100: 1.0, 200: 2.0, 350: 5.0}
    assert in_progress(tmp_path)["episode/return_mean"] == expected
    assert in_tensorboard(tmp_path)["episode/return_mean"] == expected


def test_the_line_at_the_checkpoint_itself_did_happen(tmp_path: Path) -> None:
    write(tmp_path, 0, {100: row(1), 200: row(2), 300: row(3)})
    write(tmp_path, 200, {300: row(4)})
    expected = {100: 1.0, 200: 2.0, 300: 4.0}
    assert in_progress(tmp_path)["episode/return_mean"] == expected
    assert in_tensorboard(tmp_path)["episode/return_mean"] == expected


def test_a_line_that_a_kill_cut_short_is_forgotten_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    write(tmp_path, 0, {100: row(1), 200: row(2)})
    path.write_text(path.read_text()[:-20])
    assert [line["env_steps"] for line in read_progress(path)] == [100]
    write(tmp_path, 200, {300: row(3)})
    assert [line["env_steps"] for line in read_progress(path)] == [100, 300]


def test_numbers_that_are_not_finite_leave_progress_readable_by_any_json_reader(
    tmp_path: Path,
) -> None:
    write(tmp_path, 0, {1: {"learner/explained_variance": math.nan, "a": math.inf, "b": 0.5}})

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    (line,) = (tmp_path / "progress.jsonl").read_text().splitlines()
    read = json.loads(line, parse_constant=refuse)
    assert (read["learner/explained_variance"], read["a"], read["b"]) == (None, None, 0.5)


def test_a_run_without_progress_has_no_lines(tmp_path: Path) -> None:
    assert read_progress(tmp_path / "progress.jsonl") == []


def test_episode_metrics_are_of_the_given_episodes() -> None:
    assert episode_metrics([1.0, 2.0, 9.0], [10, 30, 20]) == {
        "episode/return_mean": 4.0,
        "episode/return_median": 2.0,
        "episode/return_min": 1.0,
        "episode/return_max": 9.0,
        "episode/length_mean": 20.0,
        "episode/length_median": 20.0,
        "episode/length_min": 10.0,
        "episode/length_max": 30.0,
    }


def test_there_are_no_episode_metrics_before_an_episode_has_ended() -> None:
    assert episode_metrics([], []) == {}


def test_speeds_are_env_steps_a_second_overall_and_by_phase() -> None:
    assert speed_metrics(600, 3.0, {"sampling": 2.0, "learning": 0.5}) == {
        "speed/env_steps_per_second": 200.0,
        "speed/sampling_env_steps_per_second": 300.0,
        "speed/learning_env_steps_per_second": 1200.0,
    }
    assert math.isfinite(speed_metrics(600, 0.0, {})["speed/env_steps_per_second"])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_in_mebibytes() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert memory_metrics()["memory/rss_mib"] == pytest.approx(resident, rel=0.1)


def test_the_summary_tells_progress_and_the_time_left() -> None:
    metrics = {
        "speed/env_steps_per_second": 100.0,
        "episode/return_mean": 12.34,
        "episode/length_mean": 20.0,
        "learner/policy_loss": 0.012345,
        "learner/kl": 0.5,
        "learner/loss": 0.02,
        "learner/learning_rate": 0.1,
    }
    # 1,000,000 - 628,000 steps at 100 a second are 3,720 seconds: an hour and two minutes.
    assert summary(628_000, 1_000_000, metrics) == {
        "steps": "628,000/1,000,000",
        "steps/s": "100",
        "time left": "1:02:00",
        "return": "12.3",
        "length": "20",
        "policy_loss": "0.0123",
        "kl": "0.5",
        "loss": "0.02",
    }


def test_the_summary_does_without_what_is_not_known_yet() -> None:
    assert set(summary(1, 10, {})) == {"steps", "steps/s", "time left"}


def test_steps_that_are_only_collected_say_nothing_of_the_time_left() -> None:
    told = summary(1_000, 100_000, {"speed/env_steps_per_second": 900.0})
    assert told["time left"] == "learning has not begun"


def test_lines_come_at_intervals_and_always_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    display = LineDisplay("a run", 100)
    for env_steps in (10, 20, 30, 100):
        display.show(env_steps, {"speed/env_steps_per_second": 1.0})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["a run", "steps 10/100", "steps 100/100"]


def test_an_animation_is_shown_as_it_is(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("P", (10, 12)).save(stream, "GIF")
    log = RunLog(tmp_path, 0)
    log.gif(500, stream.getvalue())
    log.close()
    (image,) = events(tmp_path).Images("video/agent")
    assert (image.step, image.width, image.height) == (500, 10, 12)
    assert image.encoded_image_string == stream.getvalue()


def test_the_experiment_is_written_in_full(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    log.experiment(
        {"type": "Experiment", "seed": 7, "encoder": {"hidden_sizes": [64, 32], "none": None}}
    )
    log.close()
    read = events(tmp_path)
    (text,) = read.Tensors("experiment/text_summary")
    assert '"hidden_sizes"' in text.tensor_proto.string_val[0].decode()
    assert "_hparams_/session_start_info" in read.summary_metadata


def test_the_line_display_tells_how_far_an_evaluation_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.monitoring.progress.SILENT_SECONDS", 0.01)
    display = LineDisplay("a run", 100)
    with display.progress("evaluating", 10) as advance:
        advance(5)
        time.sleep(0.2)
    title, line = capsys.readouterr().out.splitlines()
    assert title == "a run"
    assert line.startswith("evaluating: 5 of 10, 0:00:00 so far, about")


def test_the_table_has_the_evaluation_below_it_and_keeps_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.monitoring.metrics.SILENT_SECONDS", 0.01)
    display = LiveDisplay("a run", 100)
    display.show(50, {"speed/env_steps_per_second": 1.0})
    tables: list[Any] = []
    monkeypatch.setattr(display.live, "update", tables.append)
    with display.progress("evaluating", 10) as advance:
        advance(5)
        time.sleep(0.1)
    display.close()
    assert str(tables[0].caption).startswith("evaluating: 5 of 10")
    assert tables[-1].caption is None
    assert {table.row_count for table in tables} == {3}  # steps, steps/s, time left
