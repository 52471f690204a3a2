"""Settings of a training of a module apart from any agent."""

import math
from dataclasses import dataclass

from agents.experiment import InvalidExperiment, require
from agents.interfaces import Task
from agents.settings.numbers import check_numbers

DESCRIPTION = "module.json"
"""The file of a module's folder that has its settings and its scores."""


@dataclass(frozen=True)
class Pretraining:
    """Trains a module."""

    task: Task
    """The module and what it is trained for."""
    total_steps: int = 2_000
    """Gradient steps, if it does not stop earlier."""
    batch_size: int = 32
    """Examples a gradient step."""
    learning_rate: float = 1e-3
    """AdamW's step size, after a warm-up of a twentieth of the steps; it falls to zero along a cosine."""
    weight_decay: float = 1e-4
    """AdamW's weight decay."""
    evaluate_every_steps: int = 200
    """Gradient steps between two evaluations on held-out examples."""
    patience: int = 5
    """Evaluations without a better score after which it stops."""
    seed: int = 1
    """Seeds weights and batches."""
    run_dir: str = ""
    """The module's folder; empty makes runs/modules/<name>-<time>."""

    def validate(self) -> None:
        """Raises InvalidExperiment, in one line, for anything that could not train."""
        try:
            check_numbers(self)
        except ValueError as mistake:
            raise InvalidExperiment(str(mistake)) from mistake
        for name in ("total_steps", "batch_size", "evaluate_every_steps", "patience"):
            require(
                getattr(self, name) >= 1, f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}."
            )
        require(
            0 < self.learning_rate < math.inf, f"--learning-rate must be a number above 0, not {self.learning_rate}."
        )
        require(0 <= self.weight_decay < math.inf, f"--weight-decay must be a number from 0, not {self.weight_decay}.")
        require(0 <= self.seed < 2**32, f"--seed must lie in [0, {2**32}), not {self.seed}.")
