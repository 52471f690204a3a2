"""Settings of the memories between encoder and heads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from perception.memory import Recurrent


@dataclass(frozen=True)
class RecurrentConfig:
    """A recurrent layer between encoder and heads, empty at the start of each episode."""

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    """What it is made of."""
    units: int = 128
    """How many numbers it tells; an LSTM keeps twice as many."""
    steps: int = 32
    """Env steps over which errors go back; they divide a rollout and a minibatch."""

    def __post_init__(self) -> None:
        if self.units < 1 or self.steps < 2:
            raise ValueError(f"A memory needs at least 1 unit and 2 steps to go back, not {self.units}, {self.steps}.")

    @property
    def size(self) -> int:
        return 2 * self.units if self.cell == "lstm" else self.units

    def build(self, features: int) -> "Recurrent":
        from perception.memory import Recurrent

        return Recurrent(self, features)
