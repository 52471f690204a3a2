"""Help and mistakes are readable where the output knows ASCII alone, and where the terminal is
narrow."""

import importlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.cli import main_with_clear_errors

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(
    path.stem for path in (ROOT / "scripts").glob("*.py") if path.stem not in ("__init__", "cli")
)
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}


@pytest.fixture
def run(monkeypatch):
    """Runs a command with outputs of an encoding; returns its exit code and the bytes that it
    printed."""

    def run(command, *arguments, encoding="ascii", columns=80):
        printed = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}
        for name, stream in printed.items():
            monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding, write_through=True))
        monkeypatch.setattr(sys, "argv", [f"{command}.py", *arguments])
        monkeypatch.setenv("COLUMNS", str(columns))
        code = 0
        try:
            main_with_clear_errors(importlib.import_module(f"scripts.{command}").main)
        except SystemExit as end:
            code = end.code or 0
        assert os.environ["COLUMNS"] == str(columns)
        return code, printed["stdout"].getvalue(), printed["stderr"].getvalue()

    return run


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("encoding", "columns"), [("ascii", 80), ("ascii", 40), ("utf-8", 1)])
def test_help_fits_every_output(command, encoding, columns, run):
    code, out, errors = run(command, "--help", encoding=encoding, columns=columns)
    assert (code, errors) == (0, b"")
    assert len(out.decode(encoding).splitlines()) > 3


@pytest.mark.parametrize(
    ("encoding", "columns"), [("ascii", 80), ("ascii", 20), ("utf-8", 200), ("utf-8", 1)]
)
def test_a_typing_mistake_has_its_hint_in_every_output(encoding, columns, run):
    code, out, errors = run(
        "train_agent", "--learning-rate", "3", encoding=encoding, columns=columns
    )
    assert (code, out) == (2, b"")
    assert (
        errors
        == b"error: Unrecognized options: --learning-rate, 3. Did you mean --algo.learning-rate?\n"
    )


def test_what_an_output_lacks_is_escaped(run):
    code, _, errors = run("train_agent", "--env", "Pöng")
    assert code == 2
    assert b"P\\xf6ng" in errors
    assert b"Pong" in errors
    assert errors.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("train_agent", "--env", "Pöng"),
        ("evaluate_agent", "rüns"),
        ("translate", "module", "--text", "去找那个红球"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_arguments_that_the_locale_cannot_read_are_refused_in_one_line(arguments, tmp_path):
    command, *rest = arguments
    line = [sys.executable, str(ROOT / "scripts" / f"{command}.py"), *rest]
    ended = subprocess.run(
        line, env=os.environ | ASCII, cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, b"")
    told = ended.stderr.decode()  # the argument as it was typed
    assert told.startswith(
        f"error: {rest[-1]} is not text in this locale's encoding, ascii; with LC_ALL=C.UTF-8"
    )
    assert told.count("\n") == 1
