"""The memory that training needs on this machine, estimated from shapes before anything starts."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from agents.experiment import Experiment
from agents.logged.values import free_memory, require_memory
from agents.networks.packing import Packing

OTHER_COLUMNS_BYTES = 32
"""Action, reward, value, log-probability and flags of an env step, at least."""
PARAMETER_BYTES = 16
"""A float32 weight, its gradient and Adam's two moments."""
FAILED_ALLOCATION = re.compile(r"tried to allocate (\d+) bytes")


def require_rollout_memory(experiment: Experiment, space: gymnasium.Space) -> None:
    """Raises ValueError, in one line, where the env steps between two updates do not fit into
    memory.

    On a cluster, whose machines have memories of their own, nothing is checked."""
    packing = Packing(space)
    step_bytes = math.prod(packing.shape) * packing.dtype.itemsize + OTHER_COLUMNS_BYTES
    num_envs = experiment.num_envs
    length = experiment.algo.rollout_length
    steps = num_envs * length
    if not experiment.address:
        what = f"A rollout of {steps:,} env steps (--num-envs {num_envs:,} x --algo.rollout-length {length:,})"
        require_memory(steps * step_bytes, what)


@contextmanager
def memory_checked(name: str) -> Iterator[None]:
    """While a module is built within it, raises ValueError, in one line, as soon as training its
    layers so far does not fit into memory. The layer that is too large has not been filled with
    numbers by then."""
    parameters = 0
    free = free_memory()

    def add(_: nn.Module, __: str, parameter: nn.Parameter) -> None:
        nonlocal parameters
        parameters += parameter.numel()
        require_memory(
            parameters * PARAMETER_BYTES,
            f"Training {name}, of at least {parameters:,} parameters,",
            free,
        )

    counting = register_module_parameter_registration_hook(add)
    try:
        yield
    except RuntimeError as failure:
        failed = FAILED_ALLOCATION.search(str(failure))
        if failed is None:
            raise
        weights = int(failed[1])
        require_memory(4 * weights, f"Training {name}", free)  # gradients and moments as many again
        raise
    finally:
        counting.remove()
