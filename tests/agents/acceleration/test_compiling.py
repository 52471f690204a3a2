"""Losses are compiled where they can be; where not, they are the same, and one line says why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from agents.acceleration.compiling import MAX_OF_A_REASON, compiled, in_one_line

TWO_LOSSES = """
import torch
from agents.acceleration.compiling import compiled
double, treble = compiled(lambda x: 2 * x), compiled(lambda x: 3 * x)
for _ in range(2):
    print(double(torch.ones(2)).tolist(), treble(torch.ones(2)).tolist())
"""


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("CXX", "/nowhere/g++", "/nowhere/g++"),
        ("TORCHINDUCTOR_CACHE_DIR", "/proc/nowhere", "/proc/nowhere"),
    ],
    ids=["no compiler", "nowhere to write"],
)
def test_what_keeps_losses_from_being_compiled_is_one_line_for_all_of_them(
    variable: str, value: str, reason: str, tmp_path: Path
) -> None:
    environment = os.environ | {
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        variable: value,
    }
    done = subprocess.run(
        [sys.executable, "-c", TWO_LOSSES],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["[2.0, 2.0] [3.0, 3.0]"] * 2
    # A slow machine shows how long it takes.
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("compiling")]
    assert line.startswith("Losses run uncompiled")
    assert reason in line


def test_what_the_function_itself_raises_is_raised(capsys: pytest.CaptureFixture) -> None:
    def fails(x: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("by itself")

    with pytest.raises(ZeroDivisionError, match="by itself"):
        compiled(fails)(torch.ones(1))
    assert capsys.readouterr().err == ""


def test_a_long_reason_is_its_first_line_shortened() -> None:
    assert in_one_line(ValueError("first\nsecond")) == "first"
    assert in_one_line(ValueError("")) == "ValueError"
    assert len(in_one_line(ValueError("x" * 1000))) == MAX_OF_A_REASON + 3
