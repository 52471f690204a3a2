"""What the equations of a treatment have to offer, for patients in step."""

from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from envs.health.core.chart import Panel


class Outcome(NamedTuple):
    """What one step has come to, each (N,)."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    costs: NDArray[np.float64]
    """How much was done that should not be, such as doses above a limit; zero where all was
    well."""


class Simulation(Protocol):
    """The equations of one treatment, for N patients at once; what it tells has a row for each."""

    doses: ClassVar[dict[str, NDArray]]
    """What actions give, by name with its unit: what each of the discrete actions does (A,); or,
    for each number of a Box in turn, what numbers at equal distances from its lowest to its highest
    do, linear in between."""

    @property
    def observation_space(self) -> Box:
        """Of one patient's readings."""
        ...

    @property
    def action_space(self) -> Discrete | Box:
        """Actions for one patient: one of a number of choices, or doses as real numbers."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of the readings (O,), where an observation is a vector; with their units where they have
        one."""
        ...

    @property
    def spread(self) -> NDArray[np.float64]:
        """How much each reading differs between patients and times, its standard deviation: (O,),
        or one for an image."""
        ...

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """Which readings a clinic does not have (O,), or one for an image."""
        ...

    @property
    def panels(self) -> tuple[Panel, ...]:
        """What a chart of an episode shows."""
        ...

    @property
    def step_hours(self) -> float:
        """Between two decisions."""
        ...

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        """New patients in these rows; their clocks are at zero."""
        ...

    def observe(self) -> NDArray:
        """Readings without error (N, O), or images (N, C, H, W) uint8."""
        ...

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        """One step with these actions: (N,) int64, all of them allowed, or doses (N, D)."""
        ...

    def allowed(self) -> NDArray[np.bool_] | None:
        """Which of the actions may be taken now (N, A); None where all may."""
        ...

    def fallback(self) -> NDArray[np.int64]:
        """What a clinician does instead of an action that is not allowed (N,)."""
        ...

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        """What clinicians ask of the episode so far, each (N,); nan where it means nothing."""
        ...

    def vitals(self) -> tuple[float, ...]:
        """Of the first patient, a number for each panel."""
        ...
