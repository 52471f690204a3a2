"""Commands as users type them, in processes of their own.

They are forked from a process that has imported torch and Ray once, which takes ten seconds;
test_startup.py and test_next_commands.py start Python anew, as a terminal does."""

import atexit
import faulthandler
import io
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import psutil

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 300.0
"""A machine may be several times slower than the one that the tests were written on."""

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "tests.commands",
        "agents.training.train",
        "agents.training.tune",
        "agents.evaluation.film",
        "scripts.train_agent",
    ]
)


class Command:
    """A script that runs in a process and session of its own, with a part of subprocess.Popen's
    interface."""

    def __init__(self, script: str, *arguments: str, folder: Path) -> None:
        self.args = (script, *arguments)
        self.output = tempfile.TemporaryDirectory()
        self.out_path = Path(self.output.name, "out")
        self.errors_path = Path(self.output.name, "errors")
        paths = (self.out_path, self.errors_path)
        self.process = SERVER.Process(
            target=run_script, args=(self.args, folder, paths), daemon=True
        )
        self.process.start()
        self.pid: int = self.process.pid or 0

    @property
    def out(self) -> str:
        return self.out_path.read_text() if self.out_path.exists() else ""

    @property
    def errors(self) -> str:
        return self.errors_path.read_text() if self.errors_path.exists() else ""

    @property
    def log(self) -> str:
        """Everything printed so far."""
        return self.out + self.errors

    def poll(self) -> int | None:
        return self.process.exitcode

    def where(self) -> str:
        """Everything printed so far, and where each thread is: for an assertion about a process
        that does not end."""
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(1.0)
        return self.log

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Waits for the exit code. Kills the session and raises TimeoutExpired where none comes."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.kill()
            raise TimeoutExpired(self.args, timeout)
        return self.process.exitcode

    def kill(self) -> None:
        """Kills every process of the session at once, as a power cut would."""
        while processes := self.session():
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.join(0.01)  # else it would stay in the list, as a zombie

    def finish(self, within: float = PATIENCE_SECONDS) -> None:
        """Waits for the end; fails, with everything printed, where it is not a good one, or does not
        come within so many seconds, with what its session is doing then."""
        self.process.join(within)
        if self.process.exitcode is None:
            rows = (
                f"{process.pid} {process.name()} {process.status()}" for process in self.session()
            )
            told = "\n".join([self.where(), *rows])
            self.kill()
            raise AssertionError(told)
        assert self.process.exitcode == 0, self.log

    def session(self) -> list[psutil.Process]:
        """The processes of the command's session, Ray's among them, that have not ended."""
        return [process for process in psutil.process_iter() if is_of_session(process, self.pid)]

    def wait_until(self, condition: Callable[[], bool], pause: float = 0.02) -> None:
        """Waits until the condition holds; fails where the process ends before that, or nothing
        comes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.poll() is None, self.log
            if time.monotonic() > deadline:
                where = self.where()
                self.kill()
                raise AssertionError(where)
            time.sleep(pause)


def run(script: str, *arguments: str, folder: Path) -> CompletedProcess:
    """Runs a script to its end."""
    command = Command(script, *arguments, folder=folder)
    code = command.wait()
    return CompletedProcess(command.args, code, command.out, command.errors)


def run_script(command: tuple[str, ...], folder: Path, outputs: tuple[Path, Path]) -> None:
    """Becomes the script, in the process that was forked for it."""
    script, *arguments = command
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, which ignores it
    os.chdir(folder)
    for stream, path in zip((1, 2), outputs, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), encoding="utf-8", line_buffering=True
    )
    faulthandler.register(signal.SIGUSR1)
    sys.argv = [str(ROOT / "scripts" / script), *arguments]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # multiprocessing ends its processes without them
        sys.stdout.flush()


def is_of_session(process: psutil.Process, session: int) -> bool:
    """Whether a process belongs to a session and has not ended."""
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def children_named(name: str, process_id: int) -> set[int]:
    """Processes below one, by a part of their name; one that ends while it is looked at is left
    out."""
    found = set()
    for child in psutil.Process(process_id).children(recursive=True):
        try:
            if name in child.name() and child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found
