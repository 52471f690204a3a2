"""Progress of what takes longer than two seconds: how far it is, and about how long it will still
take."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

SILENT_SECONDS = 2.0
"""Nothing is shown of what is done by then."""
LINE_EVERY_SECONDS = 10.0
REFRESH_SECONDS = 0.25

Advance = Callable[..., None]
"""Called with how many more are done; with nothing for one."""
Show = Callable[["Pace", threading.Event], None]
"""Shows a pace until the event is set."""


class Pace:
    """What is being done, how much of it is done, and since when."""

    def __init__(
        self,
        what: str,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        at_once: bool = False,
    ) -> None:
        self.what = what
        self.total = total
        self.clock = clock
        self.silent_seconds = 0.0 if at_once else SILENT_SECONDS
        self.done = 0
        self.begun = clock()

    def advance(self, number: int = 1) -> None:
        self.done += int(number)

    def __str__(self) -> str:
        """As `evaluating: 3 of 10, 0:00:42 so far, about 0:01:38 left`, with what is known of
        it."""
        passed = self.clock() - self.begun
        parts = [f"{duration(passed)} so far"]
        if self.total:
            parts.insert(0, f"{self.done:,} of {self.total:,}")
            if self.done:
                parts.append(
                    f"about {duration(passed / self.done * max(0, self.total - self.done))} left"
                )
        elif self.done:
            parts.insert(0, f"{self.done:,} done")
        return f"{self.what}: {', '.join(parts)}"


@contextmanager
def progress(what: str, total: int | None = None, at_once: bool = False) -> Iterator[Advance]:
    """Shows on standard error how far the block is: in place on a terminal, else in a line every
    ten seconds.

    The display begins after two seconds, or `at_once`, which is for what always takes longer, such
    as importing torch.

    The block calls what it is given for each part that is done, of `total`; without a total it is
    only said how long it has taken so far."""
    show = on_terminal if sys.stderr.isatty() else partial(in_lines, say=to_stderr)
    with shown(Pace(what, total, at_once=at_once), show) as advance:
        yield advance


@contextmanager
def shown(pace: Pace, show: Show) -> Iterator[Advance]:
    """Runs `show` in a thread while the block runs, so that it speaks also where the block says
    nothing for long."""
    over = threading.Event()
    thread = threading.Thread(target=show, args=(pace, over), daemon=True)
    thread.start()
    try:
        yield pace.advance
    finally:
        over.set()
        thread.join()


def in_lines(pace: Pace, over: threading.Event, say: Callable[[str], None]) -> None:
    """Says the pace every ten seconds, at first after its `silent_seconds`, until the event is
    set."""
    wait = pace.silent_seconds
    while not over.wait(wait):
        say(str(pace))
        wait = LINE_EVERY_SECONDS


def on_terminal(pace: Pace, over: threading.Event) -> None:
    """Shows the pace in one place of the terminal, at first after its `silent_seconds`, and removes
    it when the event is set."""
    if over.wait(pace.silent_seconds):
        return
    from rich.console import Console  # here, because what is done by then needs none of it
    from rich.live import Live
    from rich.text import Text

    # What the block prints to the same terminal goes above the display; a file or a pipe gets it as
    # it is.
    above = sys.stdout.isatty()
    with Live(
        console=Console(stderr=True), transient=True, redirect_stdout=above, auto_refresh=False
    ) as live:
        while not over.wait(REFRESH_SECONDS):
            live.update(Text(str(pace)), refresh=True)


def to_stderr(text: str) -> None:
    """Prints a line on standard error at once."""
    print(text, file=sys.stderr, flush=True)


def unseen(number: int = 1) -> None:
    """The `Advance` of what nobody watches."""


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as 1:02:03."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
