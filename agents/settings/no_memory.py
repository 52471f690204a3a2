"""What an agent remembers, when it is nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NoMemory:
    """Only what is seen now counts."""

    @property
    def size(self) -> int:
        return 0

    @property
    def steps(self) -> int:
        return 1

    def build(self, features: int) -> None:
        return None
