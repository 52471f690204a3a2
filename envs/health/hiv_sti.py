"""Structured treatment interruption of HIV (Adams et al. 2004), with the reward of Ernst et al.
2006.

Six differential equations: healthy and infected cells of two kinds (T1, T2, T1*, T2*; cells/ml),
free virus (V; copies/ml) and immune effectors (E; cells/ml). Every five days is decided whether to
give a reverse transcriptase inhibitor (efficacy 0.7), a protease inhibitor (0.3), both, or none.
The infected steady state is stable; so is one in which the immune system holds the virus down
without any drug, but the way there leads through interruptions.

The reward of a step is -0.1 V - 2e4 e1^2 - 2e3 e2^2 + 1e3 E at its end. An episode is 1,000 days.
The published patient is that of Adams et al., table 1; others differ in eight of its parameters,
log-normally by a tenth, and also begin in the published infected steady state. A patient may not be
treated for more than is asked: there are no limits, and `cost` counts nothing. Synthetic; not for
clinical use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from common.policy import Policy
from common.ranges import Range
from envs.health.core.chart import Panel
from envs.health.core.cohorts import Cohort, population
from envs.health.core.ode import runge_kutta_step
from envs.health.core.policies import always, by_time, random_policy
from envs.health.core.simulation import Outcome, Simulation
from envs.health.core.treatment import TreatmentConfig

PUBLISHED = {
    "lambda1": 1e4,  # T1 made, cells/(ml day)
    "d1": 0.01,  # T1 dying, 1/day
    "k1": 8e-7,  # T1 infected, ml/(virion day)
    "lambda2": 31.98,  # T2 made, cells/(ml day)
    "d2": 0.01,  # T2 dying, 1/day
    "f": 0.34,  # how much less the inhibitor does for T2
    "k2": 1e-4,  # T2 infected, ml/(virion day)
    "delta": 0.7,  # infected cells dying, 1/day
    "m1": 1e-5,  # T1* killed by effectors, ml/(cell day)
    "m2": 1e-5,  # T2* killed by effectors, ml/(cell day)
    "NT": 100.0,  # virions an infected cell makes
    "c": 13.0,  # virus cleared, 1/day
    "rho1": 1.0,  # virions that infect a T1
    "rho2": 1.0,  # virions that infect a T2
    "lambdaE": 1.0,  # effectors made, cells/(ml day)
    "bE": 0.3,  # effectors that infection makes, 1/day
    "Kb": 100.0,  # where that is half, cells/ml
    "dE": 0.25,  # effectors that infection kills, 1/day
    "Kd": 500.0,  # where that is half, cells/ml
    "deltaE": 0.1,  # effectors dying, 1/day
}
VARYING: dict[str, float] = dict.fromkeys(
    ("lambda1", "k1", "lambda2", "k2", "delta", "NT", "c", "bE"), 0.1
)
INFECTED = (163_573.0, 5.0, 11_945.0, 46.0, 63_919.0, 24.0)
"""The steady state of an infection that nobody treats: T1, T2, T1*, T2*, V, E."""
INHIBITORS = np.array([[0.0, 0.0], [0.7, 0.0], [0.0, 0.3], [0.7, 0.3]])
"""Of each action, the efficacy of the reverse transcriptase inhibitor (e1) and of the protease
inhibitor (e2)."""
NONE = 0
BOTH = 3
DAYS = 1_000
LONGEST_SUBSTEP_DAYS = 1 / 16


@dataclass(frozen=True)
class HivConfig(TreatmentConfig):
    """HIV: when to give, and when to interrupt, two drugs (Adams et al. 2004)."""

    slug: ClassVar[str] = "hiv-sti"

    cohort: Cohort = "published"
    """Who is treated: the patient that was published, patients to train on, others of the same
    population, or patients of another population."""
    step_hours: Annotated[float, Range(12.0, 720.0)] = 120.0
    """Between two decisions."""

    def simulation(self, patients: int) -> Simulation:
        return HivSimulation(self, patients)

    def baselines(self) -> dict[str, Callable[[Simulation], Policy]]:
        return {
            "random": random_policy,
            "untreated": always(NONE),
            "standard of care": always(BOTH),
            "2 on, 3 off": cycle(2, 3),
        }


class HivSimulation:
    """Patients with HIV, by the six equations of Adams et al. 2004."""

    names = ("log10 T1", "log10 T2", "log10 T1*", "log10 T2*", "log10 V", "log10 E")
    observation_space = Box(-10.0, 10.0, (6,), np.float32)
    action_space = Discrete(4)
    spread = np.array([0.5, 0.6, 0.7, 0.6, 1.2, 1.5])
    hidden = np.array([False, True, True, True, False, True])
    doses: ClassVar[dict[str, NDArray]] = {
        "reverse transcriptase inhibitor, efficacy": INHIBITORS[:, 0],
        "protease inhibitor, efficacy": INHIBITORS[:, 1],
    }
    panels = (
        Panel("virus, log10 copies/ml", 0, 7, (0, 2.7)),
        Panel("CD4+ cells, log10 /ml", 4.5, 6.5),
        Panel("effectors, log10 cells/ml", 0, 6),
        Panel("reverse transcriptase inhibitor, efficacy", 0, 1, dose=True),
        Panel("protease inhibitor, efficacy", 0, 1, dose=True),
    )

    def __init__(self, config: HivConfig, patients: int) -> None:
        self.step_hours = config.step_hours
        self.table = population(PUBLISHED, VARYING, config.cohort)
        self.parameters = {name: np.zeros(patients) for name in PUBLISHED}
        self.state = np.zeros((6, patients))
        self.given = np.zeros((2, patients))
        self.steps = np.zeros(patients, np.int64)
        self.drug_days = np.zeros(patients)
        self.last = round(DAYS * 24 / self.step_hours)

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        who = random.integers(len(self.table["c"]), size=len(rows))
        for name, column in self.table.items():
            self.parameters[name][rows] = column[who]
        self.state[:, rows] = np.array(INFECTED)[:, None]
        self.given[:, rows] = 0
        self.steps[rows] = 0
        self.drug_days[rows] = 0

    def observe(self) -> NDArray[np.float64]:
        # The observation space begins at -10.
        return np.log10(np.maximum(self.state, 1e-10)).T

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        self.given = INHIBITORS[actions].T
        days = self.step_hours / 24
        self.state = state_after(self.state, self.given, self.parameters, days)
        self.steps += 1
        self.drug_days += days * (self.given > 0).sum(0)
        virus = self.state[4]
        effectors = self.state[5]
        rewards = (
            -0.1 * virus - 2e4 * self.given[0] ** 2 - 2e3 * self.given[1] ** 2 + 1e3 * effectors
        )
        nobody = np.zeros(len(rewards), np.bool_)
        return Outcome(rewards, nobody, self.steps >= self.last, np.zeros(len(rewards)))

    def allowed(self) -> None:
        return None

    def fallback(self) -> NDArray[np.int64]:
        return np.zeros(len(self.steps), np.int64)

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        virus = np.log10(np.maximum(self.state[4], 1e-10))
        return {"final_log10_virus": virus, "drug_days": self.drug_days.copy()}

    def vitals(self) -> tuple[float, ...]:
        cells = np.log10(self.state[0, 0] + self.state[2, 0])
        virus, effectors = np.log10(np.maximum(self.state[4:, 0], 1e-10))
        return virus, cells, effectors, self.given[0, 0], self.given[1, 0]


def state_after(
    state: NDArray[np.float64],
    given: NDArray[np.float64],
    parameters: dict[str, NDArray[np.float64]],
    days: float,
) -> NDArray[np.float64]:
    """The state (6, N) so many days later. Each patient's steps are as long as the fastest of the
    rates, at which virus infects T2 or is cleared, allows."""
    left = np.full(state.shape[1], days)
    while left.any():
        fastest = parameters["c"] + (parameters["k1"] + parameters["k2"]) * np.abs(state[4])
        step = np.minimum(left, np.minimum(LONGEST_SUBSTEP_DAYS, 1 / fastest))
        state = runge_kutta_step(lambda state: rates(state, given, parameters), state, step)
        left = left - step
    return state


def rates(
    state: NDArray[np.float64], given: NDArray[np.float64], p: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Adams et al. 2004, equations 2.1 to 2.6: changes a day (6, N)."""
    t1, t2, infected1, infected2, virus, effectors = state
    infection1 = (1 - given[0]) * p["k1"] * virus * t1
    infection2 = (1 - p["f"] * given[0]) * p["k2"] * virus * t2
    infected = infected1 + infected2
    return np.stack(
        [
            p["lambda1"] - p["d1"] * t1 - infection1,
            p["lambda2"] - p["d2"] * t2 - infection2,
            infection1 - p["delta"] * infected1 - p["m1"] * effectors * infected1,
            infection2 - p["delta"] * infected2 - p["m2"] * effectors * infected2,
            (1 - given[1]) * p["NT"] * p["delta"] * infected
            - p["c"] * virus
            - p["rho1"] * infection1
            - p["rho2"] * infection2,
            p["lambdaE"]
            + p["bE"] * infected / (infected + p["Kb"]) * effectors
            - p["dE"] * infected / (infected + p["Kd"]) * effectors
            - p["deltaE"] * effectors,
        ]
    )


def cycle(on: int, off: int) -> Callable[[Simulation], Policy]:
    """Both drugs for so many steps, and none for so many."""
    return by_time(lambda steps, simulation: np.where(steps % (on + off) < on, BOTH, NONE))
