"""How every contender is timed: some iterations to warm up, then whole iterations until time is
up."""

import json
import os
import time
from collections.abc import Callable

import torch

WARM_UP_ITERATIONS = 3


def measure(iterate: Callable[[], int], seconds: float, parameters: int) -> None:
    """Prints one JSON line. `iterate` samples and learns once and returns its env steps;
    `parameters` is the size of the network, by which the driver sees that all trained the same."""
    for _ in range(WARM_UP_ITERATIONS):
        iterate()
    env_steps = 0
    iteration_seconds = []
    started = before = now()
    while before - started < seconds:
        env_steps += iterate()
        after = now()
        iteration_seconds.append(round(after - before, 4))
        before = after
    elapsed = before - started
    result = {
        "env_steps_per_second": round(env_steps / elapsed, 1),
        "env_steps": env_steps,
        "seconds": round(elapsed, 3),
        "iteration_seconds": iteration_seconds,
        "parameters": parameters,
    }
    print(json.dumps(result), flush=True)


def now() -> float:
    # What a GPU still has to do belongs to the iteration that asked for it.
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def on_one_core() -> None:
    """Keeps this process, with all its threads, on one core, where the system can."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def count_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
