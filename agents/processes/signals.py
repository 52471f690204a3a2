"""Signals that ask a training to stop."""

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_requests(told: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Ctrl-C, SIGTERM, and SIGHUP, which a terminal that is closed sends, ask for an orderly end,
    which `told` is called with; a second one ends at once. SIGHUP stays ignored for a run that was
    started with nohup.

    Python lets only the main thread hear signals."""
    asked = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def ask(signum: int, frame: Any) -> None:
        nonlocal asked
        asked = True
        for each in before:
            signal.signal(each, signal.default_int_handler)
        if signum == signal.SIGHUP:
            leave_terminal()
        with suppress(OSError):  # who would read it may be gone
            told()

    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heard = [each for each in STOP_SIGNALS if each != signal.SIGHUP or not nohup]
    before = {each: signal.signal(each, ask) for each in heard}
    try:
        yield lambda: asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def leave_terminal() -> None:
    """Writes to nowhere what would go to a terminal, because that is closed."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
