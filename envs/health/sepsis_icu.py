"""Sepsis in intensive care: ICU-Sepsis (Choudhary, Gupta and Thomas 2024), a Markov decision
process of real patients.

It was made of some 17,000 patients in MIMIC-III, after Komorowski et al. 2018: 47 readings every
four hours, standardized, in 750 clusters, of which 713 were visited often enough; 5 levels of
intravenous fluids x 5 of vasopressors, none and quartiles of what was given. A stay ends in death
or survival, counted 90 days after admission; survival is the reward of 1, and there is no other.
The probabilities come with the package icu-sepsis (MIT licence); no record of a patient does.

An action is admissible in a state in which clinicians took it more than 20 times: 3 of 25 on
average. Another is replaced by one of these, each as likely, and costs 1; the outcome is the mean
of theirs, as in the published process. Clinicians' own policy, all that they did, holds 12 % of
such rare actions.

There is one process, so patients differ in the state in which they are admitted: the published
cohort is all of them; held-out patients are admitted in a fifth of the states, in which no patient
of the train cohort is, although these may come there later; shifted patients are the sickest
quarter, at admission, by SOFA. Exact survival of all, by dynamic programming: random actions
0.7801, no drug 0.7824, clinicians 0.7818, the best policy 0.8751; no drug is replaced in 73 % of
its steps. What is best for returns discounted by 0.99 a step is 0.8682, by 0.95 0.8393.

The readings have the doses of the same four hours among them, as in the paper, so a state tells
what was given in it.

A clinic without a laboratory (`partial`) has what is measured at the bedside. Built from real
records by others, not validated for any patient; not for clinical use."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from common.policy import Policy
from common.ranges import Range
from envs.health.core.chart import Panel
from envs.health.core.cohorts import Cohort
from envs.health.core.policies import always, random_policy
from envs.health.core.simulation import Outcome, Simulation
from envs.health.core.tabular import (
    TabularModel,
    optimal_policy,
    state_values,
    transition_sampler,
    visits,
)
from envs.health.core.treatment import TreatmentConfig

Observed = Literal["state", "features"]

STATES = 716
ACTIONS = 25
LEVELS = 5
DEATH, SURVIVAL = 713, 714
"""States that end a stay; that of all those after it, 715, is never seen."""
NOTHING = 0
"""The action without any drug; action 5 f + v gives fluids at level f and vasopressors at level
v."""
DATA_HOURS = 4
LONGEST_HOURS = 500 * DATA_HOURS
"""After which a stay is cut off, as in the package; by chance or the best policy fewer than one in
10^17 are."""
HELD_OUT_SHARE = 0.2
SICKEST_SHARE = 0.25

BEDSIDE = (
    "gender", "mechvent", "max_dose_vaso", "re_admission", "age", "Weight_kg", "GCS", "HR", "SysBP", "MeanBP", "DiaBP",
    "RR", "Temp_C", "FiO2_1", "Shock_Index", "cumulated_balance", "SpO2", "input_total", "input_4hourly",
    "output_total", "output_4hourly",
)  # fmt: skip
"""Readings that need no laboratory."""
READINGS = (
    *("gender", "mechvent", "max_dose_vaso", "re_admission"),  # less a half
    *(
        "age",
        "Weight_kg",
        "GCS",
        "HR",
        "SysBP",
        "MeanBP",
        "DiaBP",
        "RR",
        "Temp_C",
        "FiO2_1",
        "Potassium",
        "Sodium",
    ),
    *(
        "Chloride",
        "Glucose",
        "Magnesium",
        "Calcium",
        "Hb",
        "WBC_count",
        "Platelets_count",
        "PTT",
        "PT",
        "Arterial_pH",
    ),
    *(
        "paO2",
        "paCO2",
        "Arterial_BE",
        "HCO3",
        "Arterial_lactate",
        "SOFA",
        "SIRS",
        "Shock_Index",
        "PaO2_FiO2",
    ),
    *(
        "cumulated_balance",
        "SpO2",
        "BUN",
        "Creatinine",
        "SGOT",
        "SGPT",
        "Total_bili",
        "INR",
        "input_total",
    ),
    *("input_4hourly", "output_total", "output_4hourly"),
)
"""In the package's order, by the names of Komorowski et al.; from age on standardized, and from
SpO2 on their logarithms; max_dose_vaso, in ug/(kg min), too is less a half, re_admission more a
tenth, input_4hourly twice itself."""


class SepsisTables(NamedTuple):
    """What the package holds; a row for each state."""

    model: TabularModel
    clinicians: NDArray[np.float64]
    """What they did, as probabilities (S, A)."""
    admissible: NDArray[np.bool_]
    """What they did more than 20 times (S, A)."""
    centers: NDArray[np.float64]
    """Mean readings (S, 47)."""
    sofa: NDArray[np.float64]
    """Mean Sequential Organ Failure Assessment, 0 to 24 points (S,)."""


@dataclass(frozen=True)
class SepsisConfig(TreatmentConfig):
    """Sepsis: fluids and vasopressors, every four hours (ICU-Sepsis, made of MIMIC-III)."""

    slug: ClassVar[str] = "sepsis-icu"
    usual_care: ClassVar[str] = "clinicians"
    random_return: ClassVar[float | None] = 0.7801

    cohort: Cohort = "published"
    """Who is admitted: all patients, those to train on, those in states kept from these, or the
    sickest."""
    observed: Observed = "state"
    """What is seen: which of 716 states it is (one-hot), or its 47 mean readings and SOFA."""
    show_admissible: bool = False
    """Adds to the observation whether each action is admissible, 25 zeros and ones."""
    step_hours: Annotated[float, Range(4.0, 24.0, reason="a multiple of 4, as the data is")] = 4.0
    """Between two decisions, a multiple of 4; what was decided is done again in between, where it
    is admissible."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_hours not in range(DATA_HOURS, 25, DATA_HOURS):
            raise ValueError(
                f"step_hours must be 4, 8, 12, 16, 20 or 24, as the data is, not {self.step_hours}."
            )
        if (self.observed == "state" or self.show_admissible) and (
            self.noise or self.missing or self.partial
        ):
            raise ValueError(
                "A state, and what is admissible in it, has no noise and nothing missing or "
                "hidden; set observed to "
                "features, and show_admissible off."
            )

    def simulation(self, patients: int) -> Simulation:
        return SepsisSimulation(self, patients)

    def baselines(self) -> dict[str, Callable[[Simulation], Policy]]:
        return {
            "random": random_policy,
            "untreated": always(NOTHING),
            "clinicians": clinicians(self.observed, self.show_admissible),
            "oracle": oracle,
        }

    def model(self) -> TabularModel:
        """The process with this cohort's admissions and a decision every four hours."""
        return replace(tables().model, start=admissions(self.cohort))


class SepsisSimulation:
    """Stays in intensive care, as transitions between the published states."""

    action_space = Discrete(ACTIONS)
    doses: ClassVar[dict[str, NDArray]] = {
        "fluids, level": np.arange(ACTIONS) // LEVELS,
        "vasopressors, level": np.arange(ACTIONS) % LEVELS,
    }
    panels = (
        Panel("SOFA, points", 0, 20),
        Panel("death within 90 days under clinicians, %", 0, 100),
        Panel("mean blood pressure, standardized", -3, 3),
        Panel("lactate, standardized", -2, 4),
        Panel("fluids, level", 0, 4, dose=True),
        Panel("vasopressors, level", 0, 4, dose=True),
    )

    def __init__(self, config: SepsisConfig, patients: int) -> None:
        self.step_hours = config.step_hours
        self.tables = tables()
        self.draw = sampler()
        self.readings = readings(config.observed, config.show_admissible)
        self.spread = deviations(config.observed, config.show_admissible)
        if config.observed == "state":
            seen = tuple(f"state {state}" for state in range(STATES))
            self.hidden = np.zeros(STATES, np.bool_)
            low = 0.0
            high = 1.0
        else:
            seen = (*READINGS, "SOFA points")
            self.hidden = np.array([name not in BEDSIDE for name in seen])
            low = -20.0
            high = 30.0
        shown = ACTIONS * config.show_admissible
        self.names = (*seen, *(f"action {action}" for action in range(shown)))
        self.hidden = np.append(self.hidden, np.zeros(shown, np.bool_))
        self.observation_space = Box(low, high, (len(self.names),), np.float32)
        self.start = admissions(config.cohort).cumsum()
        self.states = np.zeros(patients, np.int64)
        self.substitutes = np.zeros(patients, np.int64)
        self.given = np.zeros(patients, np.int64)
        # Sums over the stay so far, one each four hours.
        self.steps = np.zeros(patients, np.int64)
        self.organ_failure, self.fluids, self.vasopressors = np.zeros((3, patients))

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        self.states[rows] = np.searchsorted(
            self.start, random.random(len(rows)) * self.start[-1], side="right"
        )
        self.given[rows] = NOTHING
        for total in (self.steps, self.organ_failure, self.fluids, self.vasopressors):
            total[rows] = 0
        self.substitutes[rows] = self._admissible(rows, random)

    def observe(self) -> NDArray[np.float32]:
        return self.readings[self.states]

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        before = self.states < DEATH
        for _ in range(round(self.step_hours / DATA_HOURS)):
            rows = np.flatnonzero(self.states < DEATH)
            states = self.states[rows]
            given = np.where(
                self.tables.admissible[states, actions[rows]], actions[rows], self.substitutes[rows]
            )
            self.given[rows] = given
            self.steps[rows] += 1
            self.organ_failure[rows] += self.tables.sofa[states]
            self.fluids[rows] += given // LEVELS
            self.vasopressors[rows] += given % LEVELS > 0
            self.states[rows] = self.draw(states, given, random)
            self.substitutes[rows] = self._admissible(rows, random)
        survived = self.states == SURVIVAL
        terminated = self.states >= DEATH
        late = self.steps * DATA_HOURS >= LONGEST_HOURS
        return Outcome(
            (survived & before).astype(np.float64),
            terminated,
            late & ~terminated,
            np.zeros(len(before)),
        )

    def allowed(self) -> NDArray[np.bool_]:
        return self.tables.admissible[self.states]

    def fallback(self) -> NDArray[np.int64]:
        """One of the admissible actions, each as likely; so is the published process."""
        return self.substitutes

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        steps = np.maximum(self.steps, 1)
        return {
            "survival": np.where(self.states < DEATH, np.nan, self.states == SURVIVAL),
            "stay_days": self.steps * DATA_HOURS / 24,
            "mean_sofa": self.organ_failure / steps,
            "vasopressor_share": self.vasopressors / steps,
            "mean_fluid_level": self.fluids / steps,
        }

    def vitals(self) -> tuple[float, ...]:
        state = int(self.states[0])
        doses = divmod(float(self.given[0]), LEVELS)
        if state >= DEATH:
            return np.nan, 100.0 * (state == DEATH), np.nan, np.nan, *doses
        pressure, lactate = (
            float(self.tables.centers[state, READINGS.index(name)])
            for name in ("MeanBP", "Arterial_lactate")
        )
        return float(self.tables.sofa[state]), 100 * float(risk()[state]), pressure, lactate, *doses

    def _admissible(
        self, rows: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.int64]:
        edges = self.tables.admissible[self.states[rows]].cumsum(1)
        return (random.random((len(rows), 1)) * edges[:, -1:] >= edges).sum(1)


def clinicians(observed: Observed, show_admissible: bool) -> Callable[[Simulation], Policy]:
    """What clinicians did in the state whose bedside readings are nearest to what is seen."""

    def made(simulation: Simulation) -> Policy:
        used = ~simulation.hidden
        # A reading that never varies does not tell states apart.
        scale = np.where(simulation.spread[used] > 0, simulation.spread[used], np.inf)
        known = readings(observed, show_admissible)[:DEATH, used] / scale
        lengths = (known**2).sum(1) / 2

        def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
            seen = observations[:, -len(used) :][:, used] / scale
            # The nearest by squared distance, without the term that all states share.
            return tables().clinicians[(seen @ known.T - lengths).argmax(1)]

        return policy

    return made


def oracle(simulation: Simulation) -> Policy:
    """The best policy, which knows every probability and the state."""
    assert isinstance(simulation, SepsisSimulation)
    best = optimal_policy(tables().model, allowed=tables().admissible)
    return lambda observations, first: best[simulation.states]


@lru_cache(1)
def tables() -> SepsisTables:
    """Reads the package's arrays without importing it, which would bring the old gym."""
    from scipy.sparse import (
        csr_array,
    )  # here, because it takes a seventh of a second and settings do without

    spec = importlib.util.find_spec("icu_sepsis")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "sepsis-icu needs the package icu-sepsis: pip install 'praxis-rl[health]'.",
            name="icu-sepsis",
        )
    folder = Path(spec.submodule_search_locations[0]) / "envs" / "assets"
    with np.load(folder / "dynamics.npz", allow_pickle=False) as arrays:
        probabilities = arrays["tx_mat"]
        # TabularModel ends an episode in a state from which no transition leads on.
        probabilities[DEATH:] = 0
        # Survival alone is rewarded, with 1, so its probability is the expected reward.
        rewards = probabilities[:, :, SURVIVAL].copy()
        transitions = csr_array(probabilities.reshape(STATES * ACTIONS, STATES))
        start = arrays["d_0"]
        done = arrays["expert_policy"]
        centers = arrays["state_cluster_centers"]
        sofa = arrays["sofa_scores"]
    admissible = np.zeros((STATES, ACTIONS), np.bool_)
    _, *lines = (folder / "admissible_actions.txt").read_text().splitlines()
    for state, line in enumerate(lines):
        admissible[state, [int(action) for action in line.split()]] = True
    return SepsisTables(TabularModel(transitions, rewards, start), done, admissible, centers, sofa)


@lru_cache(1)
def sampler() -> Callable[
    [NDArray[np.int64], NDArray[np.int64], np.random.Generator], NDArray[np.int64]
]:
    """The `transition_sampler` of the process, made once."""
    return transition_sampler(tables().model)


@lru_cache(1)
def risk() -> NDArray[np.float64]:
    """Of death, in each state under clinicians (S,)."""
    return 1 - state_values(tables().model, tables().clinicians)


def admissions(cohort: Cohort) -> NDArray[np.float64]:
    """How probable a patient of the cohort is admitted in each state (S,)."""
    start = tables().model.start
    sofa = tables().sofa
    if cohort == "published":
        return start
    if cohort == "shifted":
        order = np.argsort(-sofa)
        chosen = np.zeros(STATES, np.bool_)
        chosen[order[start[order].cumsum() <= SICKEST_SHARE]] = True
    else:
        held_out = np.random.default_rng(0).random(STATES) < HELD_OUT_SHARE
        chosen = held_out if cohort == "held-out" else ~held_out
    return np.where(chosen, start, 0) / start[chosen].sum()


@lru_cache(4)
def readings(observed: Observed, show_admissible: bool = False) -> NDArray[np.float32]:
    """What is seen of each state (S, O)."""
    if observed == "state":
        seen = np.eye(STATES, dtype=np.float32)
    else:
        seen = np.column_stack([tables().centers, tables().sofa]).astype(np.float32)
    return (
        np.column_stack([seen, tables().admissible.astype(np.float32)]) if show_admissible else seen
    )


@lru_cache(4)
def deviations(observed: Observed, show_admissible: bool = False) -> NDArray[np.float64]:
    """Standard deviation of each reading over what clinicians come to see (O,)."""
    often = visits(tables().model, tables().clinicians)[:DEATH]
    seen = readings(observed, show_admissible)[:DEATH].astype(np.float64)
    return np.sqrt(np.average((seen - np.average(seen, 0, often)) ** 2, 0, often))
