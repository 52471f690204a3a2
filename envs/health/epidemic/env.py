"""Non-pharmaceutical interventions against COVID-19 in a region of France (Prague et al. 2020,
Colas et al. 2021).

Every week one of four levels is chosen: nothing, distancing, a curfew, or a lockdown. `seirah.py`
has the epidemic. Transmission follows in stages, of which one is gained or lost at once and one
each further week, as in EpidemiOptim (Colas et al. 2021): the fourth is that of a lockdown,
distancing and a curfew end in between. EpidemiOptim multiplies what Prague et al. estimated for
each week of a lockdown; they estimated each against none (a fall by 76 %, not by 97 %):
`compounded` says which. Of those removed 0.5 % die; a quarter of those in hospital need intensive
care. People are fractions, so that an epidemic never dies out. GDP follows the level at once and
transmission by stages, as there: after four weeks of a lockdown, one every other week keeps
transmission at the last two stages for half the GDP.

GDP is Cobb-Douglas's with the labor of those who are well and not kept from work (Colas et al. 2021): 2,317 thousand
million euros a year for 67 million people, elasticity of labor 0.63, in a lockdown half the labor. Distancing: 21 %
less transmission (no more than 100 people together; Brauner et al. 2020, doi 10.1101/2020.05.28.20116129 v3) for 2 % of
GDP (assumed). Curfew: 45 % less (in France from 6 p.m., bars and restaurants closed, 43 to 49 %; doi
10.1101/2023.10.23.23297403) for 5 % (Banque de France, January and February 2021).

The reward of a step is -(1 - beta) deaths / 650 - beta (GDP lost, thousand million euros), as in
Colas et al., times how many times as many people as the region has live in Ile-de-France. An
episode is 364 days. `cost` is by how much intensive care exceeds the beds, as a share of them, mean
of a step's days.

What is seen are reports, drawn from what happened: of cases (those ascertained, and of the others 7
%, rising to 38 % within seven weeks as testing does; Pullano et al. 2021), admissions and deaths. A
report may be delayed (exponentially, mean `delay_days`) and sent twice (`duplicated`); of those
received it is told how many are late, being of steps before, and how many repeat another, so that
they can be told apart. Mobility falls by 0.15 a stage (assumed). Nobody knows who is susceptible,
exposed, infected or removed: `partial` hides them. Synthetic; not for clinical use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from common.policy import Policy
from common.ranges import Fraction, FractionBelowOne, Range
from envs.health.core.chart import Panel
from envs.health.core.policies import always, by_time, one_hot, random_policy, read
from envs.health.core.simulation import Outcome, Simulation
from envs.health.core.treatment import TreatmentConfig
from envs.health.epidemic.seirah import (
    ADMISSIONS,
    ONSETS,
    PUBLISHED,
    A,
    E,
    H,
    I,
    R,
    S,
    after_a_day,
    epidemics,
    rates,
    regions,
)


class Level(NamedTuple):
    transmission: float
    """What it is multiplied by in the end; a lockdown's is the region's own."""
    labor: float
    """What it is multiplied by."""


LABOUR_ELASTICITY = 0.63
LEVELS = (
    Level(1.0, 1.0),
    Level(0.79, 0.98 ** (1 / LABOUR_ELASTICITY)),
    Level(0.55, 0.95 ** (1 / LABOUR_ELASTICITY)),
    Level(0.0, 0.5),
)
NONE, DISTANCING, CURFEW, LOCKDOWN = range(4)
DAYS_A_STAGE = 7
DAYS = 364
GDP = 2_317 / 67e6
"""Thousand million euros a year and person."""
LETHALITY = 0.005  # of those removed
INTENSIVE_CARE = 0.25  # of those in hospital
DEATHS_A_UNIT = 650
"""As bad as a thousand million euros."""
DETECTED = 0.07, 0.38
"""Fraction of the infections that are not ascertained which tests find, at first and once testing
has grown."""
TESTING_GROWS_DAYS = 49
KINDS = ("cases", "admissions", "deaths")


@dataclass(frozen=True)
class EpidemicConfig(TreatmentConfig):
    """COVID-19 in a French region: how strict to be each week (Prague et al. 2020, Colas et al.
    2021)."""

    slug: ClassVar[str] = "epidemic-npi"
    random_return: ClassVar[float | None] = -57.4

    beta: Fraction = 0.5
    """Weight of GDP in the reward; 1 - beta is that of deaths."""
    delay_days: Annotated[float, Range(0.0, 60.0)] = 0.0
    """Mean of a report's delay."""
    duplicated: FractionBelowOne = 0.0
    """Fraction of the reports that are sent twice."""
    compounded: bool = True
    """Multiplies the weeks of a lockdown, as Colas et al.; else transmission falls as it did in
    2020."""
    step_hours: Annotated[
        float, Range(24.0, 672.0, reason="one to 28 days that 364 is a multiple of")
    ] = 168.0
    """Between two decisions; days that 364 is a multiple of."""

    def __post_init__(self) -> None:
        super().__post_init__()
        days = self.step_hours / 24
        if not 1 <= days <= 28 or DAYS % days:
            raise ValueError(
                f"step_hours must be 24, 48, 96, 168, 312, 336, 624 or 672, not {self.step_hours}."
            )

    def simulation(self, patients: int) -> Simulation:
        return EpidemicSimulation(self, patients)

    def baselines(self) -> dict[str, Callable[[Simulation], Policy]]:
        return {
            "random": random_policy,
            "untreated": always(NONE),
            "standard of care": alert_levels,
            "always distancing": always(DISTANCING),
            "always a curfew": always(CURFEW),
            "always in lockdown": always(LOCKDOWN),
            "1 on, 3 off": cycle(1, 3),
            "2 on, 2 off": cycle(2, 2),
            "3 on, 1 off": cycle(3, 1),
            "4 on, 4 off": cycle(4, 4),
            "above 50 cases": threshold(incidence, 50, 50),
            "above 50 cases, until 5": threshold(incidence, 50, 5),
            "above 10 cases, until 1": threshold(incidence, 10, 1),
            "beds half full, until a tenth is": threshold(intensive_care, 0.5, 0.1),
            "above 10 cases, else a curfew": threshold(incidence, 10, 10, CURFEW),
        }


class EpidemicSimulation:
    """Regions in an epidemic, by the SEIRAH model, and what measures do to it."""

    names = (
        "time, share of the episode",
        "level",
        "mobility, share of normal",
        "tests, share of capacity",
        *(
            f"log10 {what}{kind} a week and million"
            for kind in KINDS
            for what in ("", "late ", "repeated ")
        ),
        "log10 in hospital a million",
        "log10 in intensive care a hundred beds",
        "susceptible, share",
        "log10 exposed a million",
        "log10 ascertained a million",
        "log10 unascertained a million",
        "log10 removed a million",
    )
    """Logarithms are of one more than what they name."""
    observation_space = Box(-10.0, 10.0, (20,), np.float32)
    action_space = Discrete(len(LEVELS))
    doses: ClassVar[dict[str, NDArray]] = {
        "level: 1 distancing, 2 curfew, 3 lockdown": np.arange(len(LEVELS))
    }
    spread = np.array(
        [
            0.3,
            1.1,
            0.15,
            0.2,
            1.7,
            1.5,
            1.3,
            1.3,
            1.1,
            1.0,
            0.9,
            0.8,
            0.6,
            1.1,
            0.9,
            0.3,
            1.8,
            0.8,
            1.7,
            0.8,
        ]
    )
    hidden = np.arange(20) > 14
    panels = (
        Panel("log10 (1 + cases a week per 100,000 people)", 0, 4),
        Panel("in intensive care, % of the beds", 0, 400, (0, 100)),
        Panel("dead so far, per 100,000 people", 0, 500),
        Panel("transmission, share of normal", 0, 1),
        Panel("GDP lost so far, % of a year's", 0, 20),
        Panel("level: 1 distancing, 2 curfew, 3 lockdown", 0, 3, dose=True),
    )

    def __init__(self, config: EpidemicConfig, patients: int) -> None:
        self.config = config
        self.step_hours = config.step_hours
        self.days = round(config.step_hours / 24)
        self.drawn, self.first = epidemics(config.cohort)
        self.parameters = {name: np.ones(patients) for name in self.drawn}
        self.state = np.zeros((8, patients))
        self.effects = np.zeros((5, patients))
        """Logarithm of what transmission is multiplied by at each stage."""
        self.ends = np.zeros((len(LEVELS), patients))
        """The stage at which each level ends."""
        self.stage = np.zeros(patients)
        self.settled = np.zeros(patients)
        self.level = np.zeros(patients, np.int64)
        """Stage now, days until it may change, level last chosen."""
        self.steps = np.zeros(patients, np.int64)
        self.before = np.zeros(patients)
        self.lost = np.zeros(patients)
        self.peak = np.zeros(patients)
        """Removed before the first decision; GDP lost since; the greatest share of the beds in
        use."""
        self.spent = np.zeros((len(LEVELS), patients))
        """Days at each level."""
        self.pending = np.zeros((len(KINDS), patients), np.int64)
        """What happened and was not yet reported."""
        self.reports = np.zeros((len(KINDS), 3, patients))
        """Received, late, and repeated, in the last step."""
        self.largest = regions()[PUBLISHED]["people"]

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        who = random.integers(self.first.shape[1], size=len(rows))
        for name, column in self.drawn.items():
            self.parameters[name][rows] = column[who]
        self.state[:, rows] = self.first[:, who]
        weeks = np.stack([self.drawn[f"week{week}"][who] for week in range(1, 5)])
        self.effects[1:, rows] = weeks.cumsum(0) if self.config.compounded else weeks
        self.ends[:, rows] = [
            np.zeros(len(rows)),
            *(
                stage_of(np.log(level.transmission), self.effects[:, rows])
                for level in LEVELS[DISTANCING:LOCKDOWN]
            ),
            np.full(len(rows), 4.0),
        ]
        for column in (self.stage, self.settled, self.level, self.steps, self.lost, self.peak):
            column[rows] = 0
        self.spent[:, rows] = 0
        self.before[rows] = self.state[R, rows]
        own = {name: column[rows] for name, column in self.parameters.items()}
        # What came in before the first decision: as much as in a step at the rates of the day.
        changes = self.days * rates(self.state[:, rows], own["transmission"], own)
        self.pending[:, rows], self.reports[:, :, rows] = self._reported(
            changes,
            np.zeros((len(KINDS), len(rows)), np.int64),
            own["ascertained"],
            self.steps[rows],
            random,
        )

    def observe(self) -> NDArray[np.float64]:
        people = self.parameters["people"]
        state = self.state
        beds = INTENSIVE_CARE * state[H] / self.parameters["icu_beds"]
        seen = np.zeros((len(self.names), len(people)))
        seen[:4] = (
            self.steps * self.days / DAYS,
            self.level,
            1 - 0.15 * self.stage,
            self._tested(self.steps),
        )
        seen[4:13] = np.log10(1 + self.reports.reshape(9, -1) * 7 / self.days * 1e6 / people)
        seen[13:15] = np.log10(1 + np.stack([state[H] * 1e6 / people, 100 * beds]))
        seen[15] = state[S] / people
        seen[16:] = np.log10(1 + state[[E, I, A, R]] * 1e6 / people)
        return seen.T

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        p = self.parameters
        start = self.state
        people = p["people"]
        ends = self.ends[actions, np.arange(len(actions))]
        labor = np.array([level.labor for level in LEVELS])[actions]
        lost = np.zeros(len(actions))
        overflow = np.zeros(len(actions))
        for _ in range(self.days):
            # One stage at most is gained or lost at once, the next a week later at the soonest.
            move = np.where(self.settled > 0, 0, np.clip(ends - self.stage, -1, 1))
            self.stage = self.stage + move
            self.settled = np.where(move != 0, DAYS_A_STAGE, self.settled) - 1
            self.state = after_a_day(self.state, p["transmission"] * self._effect(), p)
            unwell = self.state[I] + self.state[H] + LETHALITY * self.state[R]
            lost += GDP * people / 365 * (1 - (labor * (1 - unwell / people)) ** LABOUR_ELASTICITY)
            beds = INTENSIVE_CARE * self.state[H] / p["icu_beds"]
            self.peak = np.maximum(self.peak, beds)
            overflow += np.maximum(beds - 1, 0)
        changes = self.state - start
        self.pending, self.reports = self._reported(
            changes, self.pending, p["ascertained"], self.steps, random
        )
        self.level = actions.astype(np.int64)
        self.steps = self.steps + 1
        self.spent[actions, np.arange(len(actions))] += self.days
        self.lost += lost
        deaths = LETHALITY * changes[R]
        beta = self.config.beta
        # Per person, so that regions of any size weigh like Ile-de-France.
        rewards = -((1 - beta) * deaths / DEATHS_A_UNIT + beta * lost) * self.largest / people
        over = self.steps >= DAYS // self.days
        return Outcome(rewards, np.zeros(len(over), np.bool_), over, overflow / self.days)

    def allowed(self) -> None:
        return None

    def fallback(self) -> NDArray[np.int64]:
        return np.zeros(len(self.steps), np.int64)

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        people = self.parameters["people"]
        deaths = LETHALITY * (self.state[R] - self.before)
        return {
            "deaths": deaths,
            "deaths_per_100k": 1e5 * deaths / people,
            "gdp_loss": self.lost.copy(),
            "gdp_loss_percent": 100 * self.lost / (GDP * people),
            "lockdown_weeks": self.spent[LOCKDOWN] / 7,
            "restricted_weeks": self.spent[DISTANCING:].sum(0) / 7,
            "peak_icu_share": self.peak.copy(),
        }

    def vitals(self) -> tuple[float, ...]:
        told = {name: values[0] for name, values in self.metrics().items()}
        cases = 10 ** self.observe()[0, 4] - 1
        beds = INTENSIVE_CARE * self.state[H, 0] / self.parameters["icu_beds"][0]
        chosen = np.nan if self.steps[0] == 0 else float(self.level[0])
        effect = self._effect()[0]
        return (
            np.log10(1 + cases / 10),
            100 * beds,
            told["deaths_per_100k"],
            effect,
            told["gdp_loss_percent"],
            chosen,
        )

    def _effect(self) -> NDArray[np.float64]:
        """What transmission is multiplied by (N,); between two stages its logarithm is
        interpolated."""
        lower = np.minimum(self.stage.astype(np.int64), 3)
        rows = np.arange(len(self.stage))
        below = self.effects[lower, rows]
        above = self.effects[lower + 1, rows]
        return np.exp(below + (self.stage - lower) * (above - below))

    def _tested(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Fraction of the infections that tests find, of what they find in the end."""
        grown = np.minimum(steps * self.days / TESTING_GROWS_DAYS, 1)
        return (DETECTED[0] + (DETECTED[1] - DETECTED[0]) * grown) / DETECTED[1]

    def _reported(
        self,
        changes: NDArray[np.float64],
        pending: NDArray[np.int64],
        ascertained: NDArray[np.float64],
        steps: NDArray[np.int64],
        random: np.random.Generator,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """A step's changes (8, N) and what is pending (3, N) -> what is pending then, and reports
        (3, 3, N).

        A delay is exponential, so that what has waited waits on as if it were new."""
        found = ascertained + (1 - ascertained) * DETECTED[1] * self._tested(steps)
        happened = random.poisson(
            np.stack([found * changes[ONSETS], changes[ADMISSIONS], LETHALITY * changes[R]])
        )
        soon, later = arrivals(self.days, self.config.delay_days)
        new = random.binomial(happened, soon)
        late = random.binomial(pending, later)
        repeated = random.binomial(new + late, self.config.duplicated)
        return pending + happened - new - late, np.stack(
            [new + late + repeated, late, repeated], 1
        ).astype(np.float64)


def stage_of(effect: float, effects: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first stage (N,) at which transmission has fallen so far, the last one where it never
    does; logarithms, `effects` (5, N) of each stage."""
    last = len(effects) - 1
    reached = effects <= effect
    above = np.where(reached.any(0), np.maximum(reached.argmax(0), 1), last)
    start, end = (np.take_along_axis(effects, row[None], 0)[0] for row in (above - 1, above))
    return np.minimum(above - (effect - end) / (start - end), last)


def arrivals(days: float, delay: float) -> tuple[float, float]:
    """Shares that arrive within a step: of what happens evenly over its days, and of what is
    pending."""
    if delay == 0:
        return 1.0, 1.0
    arrived = 1 - np.exp(-days / delay)
    return 1 - delay / days * arrived, arrived


def distinct(readings: dict[str, NDArray], kind: str) -> NDArray[np.float64]:
    """Reports of this kind without those that repeat another, a week and million (N,)."""
    received, repeated = (
        readings[f"log10 {what}{kind} a week and million"] for what in ("", "repeated ")
    )
    return np.maximum(10**received - 10**repeated, 0)


def incidence(readings: dict[str, NDArray]) -> NDArray[np.float64]:
    """Cases a week and 100,000 people (N,)."""
    return distinct(readings, "cases") / 10


def intensive_care(readings: dict[str, NDArray]) -> NDArray[np.float64]:
    """Patients in intensive care, as a share of the beds (N,)."""
    return (10 ** readings["log10 in intensive care a hundred beds"] - 1) / 100


def threshold(
    measure: Callable[[dict[str, NDArray]], NDArray[np.float64]],
    above: float,
    until: float,
    otherwise: int = NONE,
) -> Callable[[Simulation], Policy]:
    """A lockdown from when the measure is above one limit until it is below the other; otherwise
    this level."""

    def made(simulation: Simulation) -> Policy:
        locked = np.zeros(0, np.bool_)

        def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
            nonlocal locked
            before = (
                locked & ~first if len(locked) == len(first) else np.zeros(len(first), np.bool_)
            )
            measured = measure(read(simulation.names, observations))
            locked = np.where(before, measured >= until, measured > above)
            return one_hot(np.where(locked, LOCKDOWN, otherwise), len(LEVELS))

        return policy

    return made


def alert_levels(simulation: Simulation) -> Policy:
    """France's of 23 September 2020: distancing from 50 cases a week and 100,000 people on (alert),
    a curfew from 150 (reinforced), a lockdown from 250 with 30 % of the beds in use (maximal), or
    with 60 % (emergency)."""

    def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
        readings = read(simulation.names, observations)
        cases = incidence(readings)
        beds = intensive_care(readings)
        severe = ((cases >= 250) & (beds >= 0.3)) | (beds >= 0.6)
        return one_hot(np.where(severe, LOCKDOWN, np.digitize(cases, [50, 150])), len(LEVELS))

    return policy


def cycle(on: int, off: int) -> Callable[[Simulation], Policy]:
    """A lockdown for so many weeks, and nothing for so many."""

    def choose(steps: NDArray[np.int64], simulation: Simulation) -> NDArray[np.int64]:
        weeks = steps * simulation.step_hours // 168
        return np.where(weeks % (on + off) < on, LOCKDOWN, NONE)

    return by_time(choose)
