"""Settings of a training of a module apart from any agent."""

from dataclasses import dataclass

from agents.experiment import InvalidExperiment
from agents.interfaces import Task
from common.ranges import NonNegative, PositiveFraction, Seed, Size, Steps, check_ranges

"""The file of a module's folder that has its settings and its scores."""


@dataclass(frozen=True)
class Pretraining:
    """Trains a module."""

    task: Task
    """The module and what it is trained for."""
    total_steps: Steps = 2_000
    """Gradient steps, if it does not stop earlier."""
    batch_size: Size = 32
    """Examples a gradient step."""
    learning_rate: PositiveFraction = 1e-3
    """AdamW's step size, after a warm-up of a twentieth of the steps; it falls to zero along a
    cosine."""
    weight_decay: NonNegative = 1e-4
    """AdamW's weight decay."""
    evaluate_every_steps: Steps = 200
    """Gradient steps between two evaluations on held-out examples."""
    patience: Size = 5
    """Evaluations without a better score after which it stops."""
    seed: Seed = 1
    """Seeds weights and batches."""
    run_dir: str = ""
    """The module's folder; empty makes runs/modules/<name>-<time>."""

    def validate(self) -> None:
        """Raises InvalidExperiment, in one line, for anything that could not train."""
        try:
            check_ranges(self, "--")
        except ValueError as mistake:
            raise InvalidExperiment(str(mistake)) from mistake
