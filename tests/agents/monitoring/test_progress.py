"""Progress: silent for two seconds, then how far it is and how long it will take, on standard error
alone."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.monitoring import progress as module
from agents.monitoring.progress import Pace, duration, progress, shown


def test_the_time_left_is_by_the_pace_so_far() -> None:
    now = iter([100.0, 142.0])
    pace = Pace("evaluating", 10, clock=lambda: next(now))
    pace.advance()
    pace.advance(2)
    # Three in 42 seconds: seven more take 98.
    assert str(pace) == "evaluating: 3 of 10, 0:00:42 so far, about 0:01:38 left"


def test_nothing_is_said_that_is_not_known() -> None:
    now = iter([0.0, 5.0, 0.0, 5.0])
    assert str(Pace("a", 10, clock=lambda: next(now))) == "a: 0 of 10, 0:00:05 so far"
    assert str(Pace("b", clock=lambda: next(now))) == "b: 0:00:05 so far"


def test_more_than_the_total_leaves_no_time() -> None:
    now = iter([0.0, 3.0])
    pace = Pace("a", 2, clock=lambda: next(now))
    pace.advance(3)
    assert str(pace).endswith("about 0:00:00 left")


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.9, "0:00:00"), (61, "0:01:01"), (3_723.5, "1:02:03")]
)
def test_durations_are_hours_minutes_and_seconds(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_what_is_soon_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("quick", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def test_in_a_pipe_lines_come_while_the_block_is_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.02)
    monkeypatch.setattr(module, "LINE_EVERY_SECONDS", 0.05)
    with progress("slow", 4) as advance:
        advance()
        time.sleep(0.3)
    out, errors = capsys.readouterr()
    lines = errors.splitlines()
    assert out == ""
    assert 2 <= len(lines) <= 8
    assert lines[0].startswith("slow: 1 of 4, 0:00:00 so far, about")


def test_what_always_takes_longer_is_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("loading", at_once=True):
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "loading: 0:00:00 so far\n")


def test_an_error_in_the_block_ends_the_display() -> None:
    ended = []

    def fail() -> None:
        with shown(Pace("a"), lambda pace, over: ended.append(over.wait(10))):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert ended == [True]


PRINTS = """
import time
from agents.monitoring.progress import progress
with progress("slow", 4, at_once=True):
    time.sleep(0.8)
    print("printed within", flush=True)
    time.sleep(0.6)
"""


@pytest.mark.parametrize("stdout_is_a_terminal", [True, False])
def test_on_a_terminal_what_the_block_prints_stands_in_a_line_of_its_own(
    stdout_is_a_terminal: bool,
) -> None:
    ours, terminal = os.openpty()
    stdout = terminal if stdout_is_a_terminal else subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        stdout=stdout,
        stderr=terminal,
    )
    piped, _ = process.communicate(timeout=60)
    os.set_blocking(ours, False)
    shown = os.read(ours, 100_000).decode()
    assert "slow: 0 of 4" in shown
    os.close(terminal)
    os.close(ours)
    if stdout_is_a_terminal:
        assert re.search(r"(^|[\n\rKA])printed within\s*\r\n", shown), (
            "after what erases the display, and before a new one"
        )
    else:
        assert piped == b"printed within\n"


def test_without_a_total_what_is_done_is_counted_and_nothing_is_estimated() -> None:
    clock = iter([0.0, 12.0])
    pace = Pace("filming env steps", clock=lambda: next(clock))
    pace.advance(79)
    assert str(pace) == "filming env steps: 79 done, 0:00:12 so far"
