"""Whether other programs hold this machine's cores while a run trains."""

import os
import time
from contextlib import suppress

import psutil

CHECK_SECONDS = 30.0
HELD = 0.5
"""Of the cores, in use by others: then a run's threads wait for each other."""


class Contention:
    """Measures, every 30 seconds, how many cores other programs use; says so once."""

    def __init__(self) -> None:
        self.said = False
        self.begin()

    def begin(self) -> None:
        """Begins a measurement anew: what is used from now on counts."""
        self.since = time.monotonic()
        self.total = busy_seconds()
        self.own = own_seconds()

    def warning(self) -> str:
        """One line, the first time that others used more than half of the cores; else nothing."""
        passed = time.monotonic() - self.since
        if self.said or passed < CHECK_SECONDS:
            return ""
        others = (busy_seconds() - self.total - (own_seconds() - self.own)) / passed
        self.begin()
        cores = psutil.cpu_count() or 1
        self.said = others > HELD * cores
        return contended(others, cores) if self.said else ""


def contended(others: float, cores: int) -> str:
    """The warning that others use so many of the cores, with what to do about it."""
    has_one_thread = os.environ.get("OMP_NUM_THREADS") == "1"
    used = f"other programs use {others:.1f} of {cores} cores, which slows this run"
    if has_one_thread:
        return f"{used}. Wait for the others."
    return (
        f"{used} much: its threads wait for each other. Start it with OMP_NUM_THREADS=1, or wait "
        "for the others."
    )


def busy_seconds() -> float:
    """Seconds that all cores together have worked since the machine started."""
    times = psutil.cpu_times()
    return times.user + times.system + getattr(times, "nice", 0.0)


def own_seconds() -> float:
    """Seconds of processor time of this process and those that it started, Ray's among them."""
    seconds = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds
