"""A command in a forked child: how it ends, what it says, and what it leaves behind."""

import contextlib
import importlib
import io
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from scripts.cli import main_with_clear_errors
from tests.hard_inputs.command_lines import Case
from tests.hard_inputs.damages import damaged_copy

LIMIT_SECONDS = 20.0
MEMORY_BYTES = 12 * 2**30
WORK_BEGINS = 99
"""The exit code of a child that came as far as its work."""

WORK = {
    "train_agent": ("agents.training.train.ray_running",),
    "tune_agent": ("agents.training.tune.ray_running",),
    "train_module": ("agents.training.pretrain.EventFile",),
    "make_corpus": ("scripts.make_corpus.fetch",),
    "report_policy": ("agents.evaluation.off_policy.estimate.evaluate_off_policy",),
    "estimate_policy": ("agents.evaluation.off_policy.estimate.evaluate_off_policy",),
}
"""Where a command's work begins that is too long to be done: what is right as far as here would
have been accepted."""


def import_heavily() -> None:
    """Imports once what nearly every child needs, so that each has it at its birth."""
    for name in ("agents.training.train", "agents.training.tune"):
        importlib.import_module(name)
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Outcome:
    """What one command did."""

    code: int | None
    """Its exit code, WORK_BEGINS, or None if it had to be killed."""
    out: str
    errors: str
    changed: tuple[str, ...]
    """Files and folders that are new, gone or altered."""
    seconds: float


def outcome_of(case: Case, materials: Path) -> Outcome:
    """Runs a case in a folder of its own, which begins as a copy of `materials`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "user"
        shutil.copytree(materials, folder, symlinks=True)
        if case.damage:
            material, damage, seed = case.damage
            damaged_copy(folder / material, folder / "damaged", damage, seed)
        out = Path(temporary) / "out"
        errors = Path(temporary) / "errors"
        before = contents(folder)
        started = time.monotonic()
        child = os.fork()
        if not child:
            _run(case, folder, out, errors)
        code = _wait(child, started + LIMIT_SECONDS)
        after = contents(folder)
        changed = {
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        }
        return Outcome(
            code,
            out.read_text(errors="replace"),
            errors.read_text(errors="replace"),
            tuple(sorted(changed)),
            time.monotonic() - started,
        )


def faults(case: Case, outcome: Outcome) -> list[str]:
    """What was wrong about it; nothing where it was refused in one line, or accepted though it
    might be."""
    if outcome.code is None:
        return ["hang"]
    found = []
    if "Traceback (most recent call last)" in outcome.errors + outcome.out or outcome.code < 0:
        found.append("traceback")
    if outcome.code in (0, WORK_BEGINS):
        return found + (["accepted"] if case.verdict == "refuse" else [])
    if outcome.code != 2:
        found.append(f"exit code {outcome.code}")
    if outcome.changed:
        found.append("side effect")
    if outcome.out:
        found.append("standard output")
    # On a busy machine, how far the work is may have been said before.
    lines = [line for line in outcome.errors.splitlines() if " so far" not in line]
    if "traceback" not in found and len(lines) != 1:
        found.append("not one line")
    return found


def contents(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Size, time of change and inode of everything in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        is_folder = path.is_dir() and not path.is_symlink()
        found[str(path.relative_to(folder))] = (
            (0, 0, 0) if is_folder else (status.st_size, status.st_mtime_ns, status.st_ino)
        )
    return found


def _run(case: Case, folder: Path, out: Path, errors: Path) -> None:
    """The life of the child, which never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        for stream, path in ((1, out), (2, errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        # The parent's may be a test's own, which the child must not write to.
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        sys.argv = [f"scripts/{case.script}.py", *case.arguments]
        script = importlib.import_module(f"scripts.{case.script}")
        with contextlib.ExitStack() as stack:
            for place in WORK.get(case.script, ()):
                stack.enter_context(mock.patch(place, side_effect=_WorkBegins))
            main_with_clear_errors(script.main)
        code = 0
    except _WorkBegins:
        code = WORK_BEGINS
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _WorkBegins(BaseException):
    pass


def _wait(child: int, deadline: float) -> int | None:
    """The exit code of a child, negative where a signal ended it; None where it was killed at the
    deadline."""
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # what it left running
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
