"""Signals end a run in order, from its first second on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from ray._private import utils as ray_utils

from agents.processes.cluster import watched
from agents.processes.ray_start import keeps_signal_handlers
from agents.processes.signals import stop_requests

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers_come_back() -> Iterator[None]:
    """Begins as in a terminal: under nohup, SIGHUP would be ignored, by the processes that a test
    starts, too."""
    at_first = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = {each: signal.getsignal(each) for each in SIGNALS}
    yield
    assert {each: signal.getsignal(each) for each in SIGNALS} == before
    signal.signal(signal.SIGHUP, at_first)


def dead_terminal() -> None:
    raise OSError("Input/output error")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", SIGNALS)
def test_a_first_signal_asks_for_the_end_and_a_second_one_ends(first: int, second: int) -> None:
    with stop_requests(dead_terminal) as stop_requested:
        assert not stop_requested()
        signal.raise_signal(first)
        assert stop_requested()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(second)


CLOSED_TERMINAL = """
import os, signal, sys
from agents.processes.signals import stop_requests
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
with stop_requests(lambda: print("told")) as stop_requested:
    signal.raise_signal(signal.SIGHUP)
    os.write(3, f"{stop_requested()} {os.ttyname(1) if os.isatty(1) else 'no terminal'}".encode())
"""


@pytest.mark.parametrize(
    ("how", "seen"), [("plainly", b"True no terminal"), ("nohup", b"False /dev/pts/")]
)
def test_a_closed_terminal_asks_for_the_end_and_is_written_to_no_more(
    how: str, seen: bytes
) -> None:
    ours, terminal = os.openpty()
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.dup2({write}, 3)\n{CLOSED_TERMINAL}", how],
        stdout=terminal,
        stderr=terminal,
        pass_fds=(write,),
    )
    os.close(write)
    assert process.wait(timeout=120) == 0
    assert os.read(read, 100).startswith(seen)
    for descriptor in (ours, terminal, read):
        os.close(descriptor)


def test_ray_leaves_sigterm_alone_while_it_starts() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with keeps_signal_handlers():
        ray_utils.set_sigterm_handler(lambda *_: None)
        assert signal.getsignal(signal.SIGTERM) is before


def kill_and_await(child: subprocess.Popen, stop_requested: Callable[[], bool]) -> None:
    child.kill()
    deadline = time.monotonic() + 10
    while not stop_requested() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_death_of_rays_process_asks_for_the_end_and_is_told(
    capsys: pytest.CaptureFixture,
) -> None:
    child = subprocess.Popen(["sleep", "60"])
    with stop_requests(lambda: None) as stop_requested:
        with (
            pytest.raises(ConnectionError, match=r"Ray's process sleep has ended\."),
            watched(("sleep",)),
        ):
            kill_and_await(child, stop_requested)
        assert stop_requested()
    child.wait()
    assert capsys.readouterr().err == "Ray's process sleep has ended; stopping.\n"


def test_what_is_watched_and_lives_is_in_nobodys_way() -> None:
    child = subprocess.Popen(["sleep", "60"])
    with stop_requests(lambda: None) as stop_requested, watched(("sleep",)):
        time.sleep(0.5)
        assert not stop_requested()
    child.kill()
    child.wait()
