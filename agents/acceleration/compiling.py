"""Machine code for functions of tensors, where this machine can make it."""

import logging
import sys
from collections.abc import Callable
from threading import Event
from typing import Any

import torch

from agents.monitoring.progress import progress

MAX_OF_A_REASON = 200  # characters
impossible = Event()
"""Set when something could not be compiled in this process: then nothing else is tried."""


def compiled(function: Callable) -> Callable:
    """The function in machine code, for the shapes of its first call and for nothing else
    (torch.compile).

    Where it cannot be compiled, as without a working C++ compiler or a folder to write to, it runs
    as it is, and one line on standard error says why."""
    in_use: Callable | None = None

    def call(*arguments: Any) -> Any:
        nonlocal in_use
        if in_use is not None:
            return in_use(*arguments)
        if impossible.is_set():
            in_use = function
            return function(*arguments)
        try:
            in_use = machine_code(function)
            with progress("compiling the losses"):
                return in_use(*arguments)
        except Exception as failure:
            in_use = function
            outputs = function(*arguments)  # if the failure was its own, it is raised again
            impossible.set()
            print(
                f"Losses run uncompiled, which is slower: {in_one_line(failure)}",
                file=sys.stderr,
                flush=True,
            )
            return outputs

    return call


def machine_code(function: Callable) -> Callable:
    """What torch.compile makes of the function.

    Whether it still fits its module would be asked at each call and take a quarter of a
    millisecond; shapes, precision and module are a learner's for good, and another learner's code
    is kept apart."""
    # Else it would be told on the terminal that there is no GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    # Gradients are compiled with their losses.
    torch._dynamo.config.trace_autograd_ops = True
    return torch.compile(  # pyright: ignore[reportCallIssue]
        function,
        fullgraph=True,
        dynamic=False,
        isolate_recompiles=True,
        options={"guard_filter_fn": torch.compiler.skip_all_guards_unsafe},
    )


def in_one_line(failure: Exception) -> str:
    """The first line of a failure's message, shortened."""
    [line, *_] = str(failure).strip().splitlines() or [type(failure).__name__]
    return line if len(line) <= MAX_OF_A_REASON else f"{line[:MAX_OF_A_REASON]}..."
