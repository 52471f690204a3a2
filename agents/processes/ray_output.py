"""Keeps the lines of Ray's C++ core off the terminal; Ray's own log files have them, too."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

RAY_LINE = re.compile(rb"(\x1b\[[\d;]*m)*\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z] \d+ \d+\]")
"""As in `[2026-11-28 04:52:10,377 E 8499 8499] core_worker.cc:2465: ...`, which may be colored."""
PATIENCE_SECONDS = 1.0


@contextmanager
def without_ray_lines() -> Iterator[None]:
    """Leaves Ray's lines out of what is written to standard error within the block.

    Ray's core writes its errors to the file descriptor itself, which no setting prevents. So a pipe
    takes the descriptor's place, and a thread passes on all other lines; what Python prints goes
    past the pipe."""
    terminal = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    python = sys.stderr
    if writes_to_descriptor(python):
        sys.stderr = os.fdopen(
            os.dup(terminal), "w", buffering=1, encoding=python.encoding, errors=python.errors
        )
    thread = threading.Thread(target=pass_on, args=(reader, terminal), daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stderr, ours = python, sys.stderr
        if ours is not python:
            ours.close()
        os.dup2(terminal, 2)
        thread.join(PATIENCE_SECONDS)  # processes that go on after the block keep the pipe open


def pass_on(reader: int, terminal: int) -> None:
    """Copies lines until nobody can write any more, and closes both ends."""
    with os.fdopen(reader, "rb") as lines, os.fdopen(terminal, "wb", buffering=0) as shown:
        for line in lines:
            if not RAY_LINE.match(line):
                with suppress(OSError):  # a terminal may be closed
                    shown.write(line)


def writes_to_descriptor(stream: TextIO) -> bool:
    """Whether a stream writes to file descriptor 2, which is standard error's."""
    try:
        return stream.fileno() == 2
    except (OSError, ValueError, AttributeError):  # what a test or a notebook has put in its place
        return False
