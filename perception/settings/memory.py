"""Settings of the memories between encoder and heads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from common.ranges import Range, Size, check_ranges

if TYPE_CHECKING:
    from perception.encoders.recurrent import Recurrent


@dataclass(frozen=True)
class RecurrentConfig:
    """A recurrent layer between encoder and heads, empty at the start of each episode."""

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    """What it is made of."""
    units: Size = 128
    """How many numbers it tells; an LSTM keeps twice as many."""
    steps: Annotated[int, Range(2, 2**20)] = 32
    """Env steps over which errors go back; they divide a rollout and a minibatch."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def size(self) -> int:
        return 2 * self.units if self.cell == "lstm" else self.units

    def build(self, features: int) -> "Recurrent":
        from perception.encoders.recurrent import Recurrent

        return Recurrent(self, features)
