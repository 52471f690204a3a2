"""Ray's own lines stay off the terminal, and nothing else does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.processes.ray_output import RAY_LINE, without_ray_lines

ROOT = Path(__file__).parents[3]
RAY = b"[2026-11-28 04:52:10,377 E 8499 8499] core_worker.cc:2465: Actor with class name: 'OnPolicyEnvRunner'\n"


@pytest.mark.parametrize(
    ("line", "is_rays"),
    [
        (RAY, True),
        (b"\x1b[31m[2026-11-28 04:52:10,377 C 8499 8510] a.cc:1: checked\x1b[0m\n", True),
        (b"[2026-11-28] a line of somebody else's\n", False),
        (b"Segmentation fault\n", False),
        (b"told: [2026-11-28 04:52:10,377 E 8499 8499] in the middle\n", False),
    ],
)
def test_rays_lines_are_known_by_how_they_begin(line: bytes, is_rays: bool) -> None:
    assert bool(RAY_LINE.match(line)) == is_rays


def test_all_other_lines_arrive(capfd: pytest.CaptureFixture[str]) -> None:
    with without_ray_lines():
        for line in (b"first\n", RAY, b"second\n", b"without an end"):
            os.write(2, line)
    os.write(2, RAY)
    assert capfd.readouterr().err == "first\nsecond\nwithout an end" + RAY.decode()


def test_what_python_prints_goes_past_the_pipe_and_comes_back() -> None:
    program = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from agents.processes.ray_output import without_ray_lines
before = sys.stderr
try:
    with without_ray_lines():
        print("within", file=sys.stderr)
        os.write(2, {RAY!r})
        raise KeyError
except KeyError:
    assert sys.stderr is before
print("after", file=sys.stderr)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "within\nafter\n")


def test_a_process_that_goes_on_does_not_hold_up_the_end() -> None:
    with without_ray_lines():
        child = subprocess.Popen(["sleep", "30"])
    child.kill()
    child.wait()
