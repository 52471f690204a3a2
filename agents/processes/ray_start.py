"""What is different while Ray starts its processes on this machine."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import ray_constants, services
from ray._private import utils as ray_utils
from ray._private.node import Node

SERVICES = ("start_api_server", "start_monitor", "start_log_monitor")
"""Methods of Ray's Node that start processes which a run on one machine does without."""


@contextmanager
def on_loopback() -> Iterator[None]:
    """While Ray starts: its processes listen on the loopback interface alone, as they do on macOS
    and Windows."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


class InOwnGroup(services.ConsolePopen):
    """A process of Ray's in a process group of its own. Terminals, `timeout` and shells send their
    signals to a group: those are the run's to handle, which needs Ray until it has saved."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, process_group=0)


@contextmanager
def in_own_groups() -> Iterator[None]:
    """While Ray starts: its processes are started as `InOwnGroup`."""
    before = services.ConsolePopen
    services.ConsolePopen = InOwnGroup
    try:
        yield
    finally:
        services.ConsolePopen = before


@contextmanager
def without_services() -> Iterator[None]:
    """While Ray starts: leaves out the dashboard's server, the autoscaler's and the logs' monitors.
    Nothing of a run on one machine asks them, and starting them takes longer than all the rest of
    Ray."""
    before = {name: getattr(Node, name) for name in SERVICES}
    for name in SERVICES:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Node, name, method)


@contextmanager
def keeps_signal_handlers() -> Iterator[None]:
    """While Ray starts: signals are this program's to handle. Ray's handlers of SIGTERM would exit
    in the middle of the start, which leaves processes behind, and its C++ core's would print a
    stack trace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    set_by_ray = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = set_by_ray
        for signum, handler in before.items():  # Python knows nothing of those that C++ has set
            signal.signal(signum, handler)
