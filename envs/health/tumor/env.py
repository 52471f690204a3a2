"""Chemotherapy by what scans show, or cell counts (Padmanabhan, Meskin and Haddad 2017; de Pillis
and Radunskaya 2003).

Four differential equations: immune, normal and tumor cells (I, N, T; as shares of what normal
tissue carries) and drug in the blood (C; of what the full dose, given for long, leads to). The
tumor displaces normal cells and is killed by immune cells and drug; the drug kills all three
kinds. Every six hours is decided how much is given, at one of five levels: with levels, what is not
allowed can be masked, and the probability of what was done is known. Small enough, a tumor goes by
itself, so the art is to stop. Parameters, patient and reward are those of `AhnChemoEnv` in
DTR-Bench (Luo et al. 2024; after Ahn and Park 2011), without its noise.

The reward of six hours is N / N0 - T / T0 - dose, of what was there before them, and -100 where the
patient dies: N under 0.7 N0. An episode is 150 days. Where N is under 0.72 N0, each step costs 1,
and doses above the half are not allowed, as a clinic reduces doses when the blood count falls (the
limit is ours). Patients differ in five parameters, in how much tumor they have, and in what their
scans show.

What is seen are scans (1, 64, 64) that show the tumor alone, not what the drug does elsewhere, or
the four numbers; a clinic has no immune cells in a tumor and no drug concentrations (DTR-Bench
hides N instead). All of it is synthetic, lesions too: see scans.py. Not for clinical use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from common.policy import Policy
from common.ranges import Range
from envs.health.core.chart import Panel
from envs.health.core.cohorts import COHORT_SEEDS, population
from envs.health.core.ode import runge_kutta_step
from envs.health.core.policies import always, by_time, one_hot, random_policy, read
from envs.health.core.simulation import Outcome, Simulation
from envs.health.core.treatment import TreatmentConfig
from envs.health.tumor import scans

PUBLISHED = {
    "s": 0.33,  # immune cells made, 1/day
    "rho": 0.01,  # immune cells that a tumor calls, 1/day
    "alpha": 0.3,  # T at which that is half
    "c1": 1.0,  # immune cells that a tumor kills, 1/day
    "d1": 0.2,  # immune cells dying, 1/day
    "a1": 0.2,  # immune cells that the drug kills, at most, 1/day
    "r1": 1.5,  # tumor growing, 1/day
    "b1": 1.0,  # 1 / what tumor can be carried
    "c2": 0.5,  # tumor that immune cells kill, 1/day
    "c3": 1.0,  # tumor that normal cells displace, 1/day
    "a2": 0.3,  # tumor that the drug kills, at most, 1/day
    "r2": 1.0,  # normal cells growing, 1/day
    "b2": 1.0,  # 1 / what normal cells can be carried
    "c4": 1.0,  # normal cells that the tumor displaces, 1/day
    "a3": 0.1,  # normal cells that the drug kills, at most, 1/day
    "d2": 1.0,  # drug cleared, 1/day
    "I0": 0.005,
    "N0": 0.9,
    "T0": 0.2,  # at admission
}
VARYING = {"s": 0.05, "c2": 0.05, "a2": 0.1, "a3": 0.2, "d2": 0.1, "T0": 0.1}
"""Coefficients of variation between patients; ours. At full dose for 150 days, one in ten dies of
the tumor."""
LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""Of each action, the share of the full dose."""
NONE = 0
HALF = 2
FULL = 4
DAYS = 150
FATAL, LOW = 0.7, 0.72
"""Shares of N0 under which a patient dies, and doses are reduced."""
DEATH = -100.0
MEASURABLE = 0.02
"""Growth of a tumor that is not yet progression, in T; 24 pixels of a scan."""
LONGEST_SUBSTEP_DAYS = 0.25


@dataclass(frozen=True)
class TumorConfig(TreatmentConfig):
    """Chemotherapy: how much to give, by scans of a tumor (Padmanabhan et al. 2017)."""

    slug: ClassVar[str] = "tumor-imaging"
    random_return: ClassVar[float | None] = -18.2

    seen: Literal["scans", "counts"] = "scans"
    """Images of the tumor, or the numbers of cells and of the drug."""
    step_hours: Annotated[float, Range(1.0, 168.0)] = 6.0
    """Between two decisions; a reward weighs as many hours."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seen not in ("scans", "counts"):
            raise ValueError(f"seen must be scans or counts, not {self.seen}.")

    @property
    def kind(self) -> str:
        return f"{super().kind}:{self.seen}"

    def simulation(self, patients: int) -> Simulation:
        return TumorSimulation(self, patients)

    def baselines(self) -> dict[str, Callable[[Simulation], Policy]]:
        return {
            "random": random_policy,
            "untreated": always(NONE),
            "standard of care": cycle(14, 7),
            "half dose": always(HALF),
            "full dose": always(FULL),
            "full dose while T > 0.05": while_above(0.05),
            "full dose while T > 0.1": while_above(0.1),
        }


class TumorSimulation:
    """Patients with a tumor under chemotherapy, by the cells of tumor and normal tissue."""

    action_space = Discrete(len(LEVELS))
    doses: ClassVar[dict[str, NDArray]] = {"dose, of the full one": LEVELS}
    panels = (
        Panel("tumor cells (band: under 0.05)", 0, 0.5, (0, 0.05)),
        Panel(
            "normal cells, share of those at admission (band: any dose is allowed)",
            0.6,
            1.2,
            (LOW, 1.2),
        ),
        Panel("immune cells", 0, 2),
        Panel("drug in the blood, of what the full dose leads to", 0, 1.5),
        Panel("dose, of the full one", 0, 1, dose=True),
    )

    def __init__(
        self, config: TumorConfig, patients: int, render: scans.Renderer = scans.phantom
    ) -> None:
        self.step_hours = config.step_hours
        self.images = config.seen == "scans"
        self.render = render
        if self.images:
            self.names = ()
            self.spread = np.array(50.0)
            self.hidden = np.array(False)
            self.observation_space = Box(0, 255, (1, scans.SIZE, scans.SIZE), np.uint8)
        else:
            self.names = ("immune cells", "normal cells", "tumor cells", "drug")
            self.spread = np.array([0.4, 0.1, 0.1, 0.4])
            self.hidden = np.array([True, False, False, True])
            self.observation_space = Box(0.0, 10.0, (4,), np.float32)
        self.table = population(PUBLISHED, VARYING, config.cohort)
        people = len(self.table["s"])
        self.anatomy = (
            scans.anatomies(people, COHORT_SEEDS.get(config.cohort, 0)) if self.images else None
        )
        self.who = np.zeros(patients, np.int64)
        self.parameters = {name: np.ones(patients) for name in PUBLISHED}
        self.state = np.zeros((4, patients))
        self.scans = np.zeros((patients * self.images, 1, scans.SIZE, scans.SIZE), np.uint8)
        self.given = np.zeros(patients)
        self.steps = np.zeros(patients, np.int64)
        self.total_dose = np.zeros(patients)
        self.smallest_tumor = np.zeros(patients)
        self.fewest_normal = np.ones(patients)
        self.progressed = np.full(patients, np.nan)
        self.last = round(DAYS * 24 / self.step_hours)

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        self.who[rows] = random.integers(len(self.table["s"]), size=len(rows))
        for name, column in self.table.items():
            self.parameters[name][rows] = column[self.who[rows]]
        p = self.parameters
        self.state[:, rows] = np.stack([p["I0"], p["N0"], p["T0"], np.zeros_like(p["T0"])])[:, rows]
        self.given[rows] = 0
        self.steps[rows] = 0
        self.total_dose[rows] = 0
        self.smallest_tumor[rows] = p["T0"][rows]
        self.fewest_normal[rows] = 1
        self.progressed[rows] = np.nan
        self._scan(rows, random)

    def observe(self) -> NDArray:
        return self.scans if self.images else self.state.T

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        self.given = LEVELS[actions]
        days = self.step_hours / 24
        rewards = (self._normal() - self.state[2] / self.parameters["T0"] - self.given) * (
            self.step_hours / 6
        )
        self.state = state_after(self.state, self.given, self.parameters, days)
        self.steps += 1
        normal = self._normal()
        tumor = self.state[2]
        died = normal < FATAL
        self.total_dose += days * self.given
        self.fewest_normal = np.minimum(self.fewest_normal, normal)
        self.smallest_tumor = np.minimum(self.smallest_tumor, tumor)
        # RECIST 1.1 (Eisenhauer et al. 2009): a fifth more than the smallest diameter, so 1.44
        # times the area, and more than can be an error of measurement; or death.
        grown = (tumor > 1.44 * self.smallest_tumor) & (tumor > self.smallest_tumor + MEASURABLE)
        now = np.isnan(self.progressed) & (grown | died)
        self.progressed = np.where(now, self.steps * days, self.progressed)
        self._scan(np.arange(len(died)), random)
        return Outcome(
            np.where(died, DEATH, rewards),
            died,
            ~died & (self.steps >= self.last),
            (normal < LOW).astype(np.float64),
        )

    def allowed(self) -> NDArray[np.bool_]:
        return (self._normal()[:, None] >= LOW) | (np.arange(len(LEVELS)) <= HALF)

    def fallback(self) -> NDArray[np.int64]:
        return np.full(len(self.steps), HALF)

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        days = self.steps * self.step_hours / 24
        return {
            "progression_free_days": np.where(np.isnan(self.progressed), days, self.progressed),
            "survived": (self._normal() >= FATAL).astype(np.float64),
            "final_tumor": self.state[2].copy(),
            "fewest_normal_cells": self.fewest_normal.copy(),
            "full_dose_days": self.total_dose.copy(),
        }

    def vitals(self) -> tuple[float, ...]:
        immune, _, tumor, drug = self.state[:, 0]
        return tumor, self._normal()[0], immune, drug, self.given[0]

    def _normal(self) -> NDArray[np.float64]:
        """Normal cells as a share of those at admission (N,)."""
        return self.state[1] / self.parameters["N0"]

    def _scan(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        if self.anatomy is not None:
            self.scans[rows] = self.render(
                self.anatomy.of(self.who[rows]), self.state[2, rows], random
            )


def state_after(
    state: NDArray[np.float64],
    dose: NDArray[np.float64],
    parameters: dict[str, NDArray[np.float64]],
    days: float,
) -> NDArray[np.float64]:
    """The state (4, N) so many days later."""
    substeps = int(np.ceil(days / LONGEST_SUBSTEP_DAYS))
    step = days / substeps
    for _ in range(substeps):
        state = runge_kutta_step(lambda state: rates(state, dose, parameters), state, step)
    return state


def rates(
    state: NDArray[np.float64], dose: NDArray[np.float64], p: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The four equations, as in `AhnODE` of DTR-Bench: changes a day (4, N)."""
    immune, normal, tumor, drug = state
    effect = -np.expm1(-drug)
    return np.stack(
        [
            p["s"]
            + immune
            * (
                p["rho"] * tumor / (p["alpha"] + tumor)
                - p["c1"] * tumor
                - p["d1"]
                - p["a1"] * effect
            ),
            normal * (p["r2"] * (1 - p["b2"] * normal) - p["c4"] * tumor - p["a3"] * effect),
            tumor
            * (
                p["r1"] * (1 - p["b1"] * tumor)
                - p["c2"] * immune
                - p["c3"] * normal
                - p["a2"] * effect
            ),
            dose - p["d2"] * drug,
        ]
    )


def cycle(on_days: float, off_days: float) -> Callable[[Simulation], Policy]:
    """The full dose for so many days, and none for so many."""

    def choose(steps: NDArray[np.int64], simulation: Simulation) -> NDArray[np.int64]:
        days = steps * simulation.step_hours / 24
        return np.where(days % (on_days + off_days) < on_days, FULL, NONE)

    return by_time(choose)


def while_above(threshold: float) -> Callable[[Simulation], Policy]:
    """The full dose while more tumor than this is seen, on a scan as bright pixels."""

    def made(simulation: Simulation) -> Policy:
        def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
            images = observations.ndim == 4
            tumor = (
                scans.measured(observations)
                if images
                else read(simulation.names, observations)["tumor cells"]
            )
            return one_hot(np.where(tumor > threshold, FULL, NONE), len(LEVELS))

        return policy

    return made
