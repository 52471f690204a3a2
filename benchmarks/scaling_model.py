"""What env runners and learners would do on machines that are not here, reckoned from what an
update takes.

A learner's gradient step is bound by arithmetic or, as PyTorch starts one kernel at a time, by how
many it starts; env runners bring what their cores bring. What is assumed of a GPU stands here, and
nothing else about it was measured.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

SECONDS_A_KERNEL = 10e-6  # what Python, autograd and the driver take to start one
SHARE_OF_PEAK = 0.2  # of a GPU's arithmetic, which small convolutions reach
BYTES_TO_DEVICE_A_SECOND = 12e9  # PCI Express 3, 16 lanes
BYTES_BETWEEN_LEARNERS_A_SECOND = (
    10e9  # over the same lanes; a mean of gradients crosses them about twice
)
BYTES_A_SECOND_BETWEEN_MACHINES = 1.25e9  # ten gigabits
OPERATIONS_A_SECOND = {"T4": 65e12, "A10": 125e12, "A100": 312e12, "H100": 989e12}
"""Dense 16-bit matrix products, as Nvidia's data sheets have them."""


@dataclass(frozen=True)
class Update:
    """What an update takes, by counting."""

    env_steps: int
    gradient_steps: int
    kernels: int
    """Of a gradient step: operations that compute, each of which a GPU would start by itself."""
    operations: float
    """Of a gradient step: multiplications and additions of its matrix products and convolutions."""
    parameters: int
    bytes_per_step: float
    """Of an env step's columns."""


@contextmanager
def counting() -> Iterator[dict[str, float]]:
    """Counts the kernels and operations of what is done meanwhile."""
    counted: dict[str, float] = {}
    with FlopCounterMode(display=False) as flops, Kernels() as kernels:
        yield counted
    counted |= {"kernels": kernels.count, "operations": float(flops.get_total_flops())}


class Kernels(TorchDispatchMode):
    """Counts the operations that compute; a view of a tensor starts nothing on a device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def learning_speed(update: Update, gpu: str, learners: int, minibatches_in_one: int = 1) -> float:
    """Env steps a second of learners with a GPU each, which divide every update among them.

    `minibatches_in_one`: how many of the recipe's minibatches make one gradient step; the more, the
    fewer kernels."""
    arithmetic = minibatches_in_one * update.operations / (SHARE_OF_PEAK * OPERATIONS_A_SECOND[gpu])
    gradients = (
        2 * (learners - 1) / learners * 4 * update.parameters / BYTES_BETWEEN_LEARNERS_A_SECOND
    )
    gradient_step = max(update.kernels * SECONDS_A_KERNEL, arithmetic) + gradients
    copying = update.env_steps * update.bytes_per_step / BYTES_TO_DEVICE_A_SECOND
    return (
        update.env_steps
        * learners
        / (update.gradient_steps / minibatches_in_one * gradient_step + copying)
    )


def synchronous(runners: float, runner: float, learner: float) -> float:
    """Env steps a second where sampling and learning take turns; `runner` and `learner` are those
    of each alone."""
    return 1 / (1 / learner + 1 / (runners * runner))


def asynchronous(runners: float, runner: float, learner: float) -> float:
    """Where they go on at the same time: the slower one decides."""
    return min(learner, runners * runner)


@dataclass(frozen=True)
class Here:
    """What was measured of processes that share some cores, without a GPU; env steps a second."""

    cores: int
    runner: float
    """Of a core that does nothing but run environments."""
    most_cores_a_runner: float
    """A vector of Atari games steps in several threads."""
    learner: float
    """Of a core that does nothing but learn."""
    learner_alone: float
    """Of a learner on all cores."""
    epochs: int

    def reckoned(self, algo: str, runners: int) -> float:
        sampling = min(self.cores, runners * self.most_cores_a_runner) * self.runner
        if algo == "ppo":
            return synchronous(1, sampling, self.learner_alone)
        judging = 1 / (
            3 * self.epochs
        )  # V-trace's one pass forward, beside the epochs' passes forward and back
        return min(sampling, self.cores / ((1 + judging) / self.learner + 1 / self.runner))
