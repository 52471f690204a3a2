"""Starting warfarin, by genes and INR (Hamberg et al. 2007).

S-warfarin, half of each dose, is absorbed (k_a), spreads over two compartments (V1, V2, Q) and is
cleared (CL), slower with age and with CYP2C9's variants (table 2; appendix, equation 4). It
inhibits the making of coagulation factors, E = C^gamma / (EC50^gamma + C^gamma), more in carriers
of VKORC1's -1639A (table 4). Their loss passes through two chains of compartments, six in 11.6
hours and one in 120, whose ends give INR = 1 + 20 (1 - A6 A7)^3.61 (equations 8 to 10). The 54
published doses for an INR of 2.5 (table 5) lead to one of 2.42 to 2.48, before the next dose. The
mean transit time is taken as that of the whole chain, as in the simulations of Ravvaz et al. 2017
and Anzabi Zadeh et al. 2023; were it that of each compartment, as equation 8 can be read, INR would
not move for two days. Patients' CL, V1, V2, MTT1, MTT2 and EC50 differ log-normally with the
published coefficients of variation, within two standard deviations; each INR is measured with an
error of 3.25 %.

An action is a daily dose (0 to 15 mg in steps of 0.5; what is above 10 mg is not given in the first week) until the
next test, and the days until then. A test comes after at most three days, later after at most as long as treatment has
lasted. After an INR of 5 or more nothing may be given.
The reward is, for each day, -(2 (INR - 2.5))^2, which is -1 at both edges of the therapeutic range (Anzabi Zadeh et al.
2023), INR counted up to 6; and -1 for each test. An episode is the first 90 days. `cost` counts days with an INR above
4, and doses raised, after the first week, above 1.5 times the highest of the last three.

Genotypes, age, weight and height are drawn as they are in the Aurora population (Ravvaz et al.
2017, 14,206 patients); the train cohort lacks three pairs of genotypes that the held-out one has,
and the shifted one is Han Chinese (Xia et al. 2024). Weight, height and race do not change the
response, though dosing algorithms reckon with them; nobody takes amiodarone or forgets a dose. The
published patient is the median one of table 1. Synthetic; not for clinical use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from common.policy import Policy
from common.ranges import Range
from envs.health.core.chart import Panel
from envs.health.core.cohorts import COHORT_SEEDS, Cohort
from envs.health.core.policies import one_hot, random_policy
from envs.health.core.simulation import Outcome, Simulation
from envs.health.core.treatment import TreatmentConfig
from envs.health.warfarin.protocols import (
    DOSES,
    HOLD,
    INTERVALS,
    NAMES,
    action_of,
    aurora,
    aurora_start,
    five,
    fixed,
    gage,
    intermountain,
    iwpc_clinical,
    iwpc_loading,
    iwpc_pharmacogenetic,
    lenzini,
    protocol,
)

PUBLISHED = {
    "CL": 0.314,  # clearance of *1/*1 at 71 years, l/h
    "V1": 13.8,  # central volume, l
    "V2": 6.59,  # peripheral volume, l
    "MTT1": 11.6,  # through the chain of six, h
    "MTT2": 120.0,  # through the chain of one, h
    "EC50": 4.61,  # of G/G, mg/l
}
"""Hamberg et al. 2007, tables 2 and 4."""
VARYING = {"CL": 0.310, "V1": 0.262, "V2": 0.991, "MTT1": 0.141, "MTT2": 1.02, "EC50": 0.409}
"""Coefficients of variation between patients (tables 2 and 4)."""
ABSORPTION = 2.0  # k_a, 1/h
EXCHANGE = 0.131  # Q, l/h
AGEING = 0.0091  # clearance lost a year after 71, share
GAMMA = 0.424
LAMBDA = 3.61
INR_MAX = 20.0
BASELINE = 1.0
INR_ERROR = 0.0325
"""Standard deviation of a measured INR's logarithm (table 4)."""
CYP2C9 = np.array([[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]])
"""Alleles *2 and *3 of *1/*1, *1/*2, *1/*3, *2/*2, *2/*3 and *3/*3."""
CLEARANCE_LOST = np.array([0.0, 0.315, 0.453, 0.722, 0.690, 0.852])
EC50_SHARE = np.array([4.61, 3.02, 2.20]) / 4.61
"""Of VKORC1 G/G, G/A and A/A, against G/G."""


class Origin(NamedTuple):
    """Where patients come from: frequencies of genotypes, and mean and standard deviation of the
    rest."""

    cyp2c9: tuple[float, ...]
    vkorc1: tuple[float, ...]
    age: tuple[float, float]
    """Years."""
    weight: tuple[float, float]
    """kg."""
    height: tuple[float, float]
    """cm."""


AURORA = Origin(
    (0.6739, 0.1486, 0.0925, 0.0651, 0.0197, 0.0002),
    (0.3837, 0.4418, 0.1745),
    (67.30, 13.43),
    (90.4, 24.8),
    (169.6, 10.9),
)
"""Ravvaz et al. 2017."""
HAN = Origin(
    (0.943, 0.0, 0.057, 0.0, 0.0, 0.0),
    (0.009, 0.188, 0.803),
    (54.7, 12.5),
    (59.7, 11.6),
    (161.9, 8.0),
)
"""Xia et al. 2024, table 1; height of Shi et al. 2024."""
UNSEEN = ((1, 2), (2, 0), (3, 1))
"""Pairs of CYP2C9 and VKORC1 that the train cohort lacks: *1/*2 A/A, *1/*3 G/G and *2/*2 G/A; 9 %
of the others."""
LEVELS = 24
"""Within a day; the drug's effect is taken as constant in each."""
DAYS = 90
MAX_AT_FIRST = 10.0
"""mg a day in the first week (Holbrook et al. 2012 begin with no more)."""
LOW, HIGH = 2.0, 3.0
"""The therapeutic range of INR."""


@dataclass(frozen=True)
class WarfarinConfig(TreatmentConfig):
    """Warfarin: the dose, and the days to the next test, by genes and INR (Hamberg et al. 2007)."""

    slug: ClassVar[str] = "warfarin-pgx"
    random_return: ClassVar[float | None] = -630.0

    step_hours: Annotated[float, Range(24.0, 168.0, reason="whole days")] = 24.0
    """The shortest time between two tests; a whole number of days, up to seven."""
    genotypes: Literal["all", "unseen"] = "all"
    """Of the held-out and the shifted cohort, whom: unseen are those with pairs of CYP2C9 and
    VKORC1 that the train cohort lacks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_hours not in [24 * days for days in range(1, 8)]:
            raise ValueError(f"step_hours must be 24, 48 ... or 168, not {self.step_hours}.")
        if self.genotypes == "unseen" and self.cohort in ("published", "train"):
            raise ValueError(
                f"Unseen genotypes are of the held-out or the shifted cohort, not of {self.cohort}."
            )

    def simulation(self, patients: int) -> Simulation:
        return WarfarinSimulation(self, patients)

    def baselines(self) -> dict[str, Callable[[Simulation], Policy]]:
        """Random, none, 5 mg whatever happens, and protocols: their initial dose, its revision, and
        maintenance; and the dose that will do in the end, from the first day."""
        return {
            "random": random_policy,
            "untreated": fixed(0.0),
            "5 mg": fixed(5.0),
            "standard of care": protocol(five, None, aurora),
            "AAA": protocol(aurora_start, None, aurora),
            "CAA": protocol(iwpc_clinical, None, aurora),
            "PGAA": protocol(iwpc_pharmacogenetic, None, aurora),
            "Gage, Aurora": protocol(gage, None, aurora),
            "PGPGA": protocol(iwpc_loading, lenzini, aurora),
            "PGPGI": protocol(iwpc_loading, lenzini, intermountain),
            "oracle dose": oracle_dose,
        }


class WarfarinSimulation:
    """Patients who begin to take warfarin, by a model of its concentration and of what it does to
    clotting."""

    names = NAMES
    observation_space = Box(
        np.zeros(len(NAMES), np.float32),
        np.array([2, 2, 2, 120, 250, 230, DAYS, 25, 25, 25, 15, 15, 15, 28, 28], np.float32),
    )
    action_space = Discrete(len(DOSES) * len(INTERVALS))
    doses: ClassVar[dict[str, NDArray]] = {
        "dose, mg a day": DOSES.repeat(len(INTERVALS)),
        "days until the test": np.tile(INTERVALS, len(DOSES)),
    }
    spread = np.array([0.7, 0.5, 0.7, 13.4, 24.8, 10.9, 26, 0.7, 0.7, 0.7, 2.5, 2.5, 2.5, 5, 5])
    hidden = np.arange(len(NAMES)) < 3
    panels = (
        Panel("INR, at each test", 0, 6, (LOW, HIGH)),
        Panel("S-warfarin, mg/l", 0, 2),
        Panel("dose, mg a day", 0, 15, dose=True),
        Panel("days until the test", 0, 28, dose=True),
    )

    def __init__(self, config: WarfarinConfig, patients: int) -> None:
        self.shortest = round(config.step_hours / 24)
        self.people = population(config.cohort, config.genotypes)
        self.course = courses(self.people)
        self.who = np.zeros(patients, np.int64)
        # S-warfarin in each of its three exponentials, mg/l, and the chains' compartments.
        self.drug = np.zeros((patients, 3))
        self.fast = np.ones((patients, 6))
        self.slow = np.ones(patients)
        self.day = np.zeros(patients, np.int64)
        self.tests = np.zeros(patients, np.int64)
        # The newest first.
        self.inr = np.ones((patients, 3))
        self.past_doses = np.zeros((patients, 3))
        self.days = np.zeros((patients, 3))
        self.told = {
            name: np.zeros(patients) for name in ("range", "rosendaal", "above", "below", "given")
        }
        self.reached = np.full(patients, np.nan)

    @property
    def step_hours(self) -> float:
        """Between two tests, on average, of the first patient."""
        return 24 * float(self.day[0]) / max(1, int(self.tests[0]))

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        self.who[rows] = random.integers(len(self.people["age"]), size=len(rows))
        self.drug[rows] = 0
        self.fast[rows] = 1
        self.slow[rows] = 1
        self.day[rows] = 0
        self.tests[rows] = 0
        self.reached[rows] = np.nan
        self.inr[rows] = BASELINE
        self.past_doses[rows] = 0
        self.days[rows] = 0
        self.inr[rows, 0] = BASELINE * np.exp(INR_ERROR * random.standard_normal(len(rows)))
        for counted in self.told.values():
            counted[rows] = 0

    def observe(self) -> NDArray[np.float64]:
        known = [
            self.people[name][self.who] for name in ("two", "three", "a", "age", "weight", "height")
        ]
        about = np.stack([*known, self.day.astype(np.float64)], 1)
        return np.concatenate([about, self.inr, self.past_doses, self.days[:, :2]], 1)

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        doses = DOSES[actions // len(INTERVALS)]
        days = INTERVALS[actions % len(INTERVALS)]
        doses = np.where(self.day < 7, np.minimum(doses, MAX_AT_FIRST), doses)
        # Within three days at first, later within as many days as treatment has lasted.
        latest = np.maximum(3, self.day)
        days = np.minimum(np.maximum(np.minimum(days, latest), self.shortest), DAYS - self.day)
        highest = self.past_doses.max(1)
        raised = (self.day >= 7) & (highest > 0) & (doses > 1.5 * highest)
        rewards = np.full(len(doses), -1.0)
        costs = raised.astype(np.float64)
        inr = np.ones(len(doses))
        for day in range(days.max()):
            rows = np.flatnonzero(days > day)
            now = inr[rows] = self._one_day(rows, doses[rows])
            rewards[rows] -= (2 * (np.minimum(now, 6.0) - 2.5)) ** 2
            costs[rows] += now > 4
            self.told["range"][rows] += (now >= LOW) & (now <= HIGH)
            self.told["above"][rows] += now > 4
            self.told["below"][rows] += now < 1.5
            first = rows[(now >= LOW) & np.isnan(self.reached[rows])]
            self.reached[first] = self.day[first] + day + 1
        measured = inr * np.exp(INR_ERROR * random.standard_normal(len(inr)))
        self.told["rosendaal"] += rosendaal(self.inr[:, 0], measured, days)
        self.told["given"] += doses * days
        self.day = self.day + days
        self.tests = self.tests + 1
        for kept, newest in ((self.inr, measured), (self.past_doses, doses), (self.days, days)):
            kept[:, 1:] = kept[:, :-1].copy()
            kept[:, 0] = newest
        return Outcome(rewards, np.zeros(len(inr), np.bool_), self.day >= DAYS, costs)

    def allowed(self) -> NDArray[np.bool_]:
        # The first actions give a dose of 0, one for each interval.
        nothing = np.arange(self.action_space.n) < len(INTERVALS)
        return nothing | (self.inr[:, :1] < HOLD)

    def fallback(self) -> NDArray[np.int64]:
        return np.full(len(self.day), action_of(np.zeros(1), 2)[0])

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        days = np.maximum(1, self.day)
        in_range = self.told["range"] / days
        return {
            "time_in_range": in_range,
            "time_in_range_rosendaal": self.told["rosendaal"] / days,
            "time_above_4": self.told["above"] / days,
            "time_below_1.5": self.told["below"] / days,
            "excellent_responder": (in_range >= 0.65).astype(np.float64),
            "days_to_range": self.reached.copy(),
            "tests": self.tests.astype(np.float64),
            "mean_dose_mg": self.told["given"] / days,
        }

    def vitals(self) -> tuple[float, ...]:
        return (
            float(self.inr[0, 0]),
            float(self.drug[0].sum()),
            float(self.past_doses[0, 0]),
            float(self.days[0, 0]),
        )

    def _one_day(self, rows: NDArray[np.int64], doses: NDArray[np.float64]) -> NDArray[np.float64]:
        """INR at the day's end, of these rows."""
        its = {name: column[self.who[rows]] for name, column in self.course.items()}
        drug = self.drug[rows] + doses[:, None] * its["absorbed"]
        levels = np.maximum((drug[:, None] @ its["levels"])[:, 0], 0.0) ** GAMMA
        made = its["ec50"][:, None] / (its["ec50"][:, None] + levels)
        fast = (its["fast_kept"] @ self.fast[rows, :, None] + its["fast_made"] @ made[..., None])[
            ..., 0
        ]
        slow = its["slow_kept"] * self.slow[rows] + (its["slow_made"] * made).sum(1)
        self.drug[rows] = drug * its["drug_kept"]
        self.fast[rows] = fast
        self.slow[rows] = slow
        return BASELINE + INR_MAX * np.maximum(1 - fast[:, -1] * slow, 0.0) ** LAMBDA


def oracle_dose(simulation: Simulation) -> Policy:
    """The dose that settles INR at 2.5, of whom it knows all; a test each week."""
    assert isinstance(simulation, WarfarinSimulation)
    # At rest A6 = A7 = 1 - E, so that INR is 1 + 20 (1 - (1 - E)^2)^LAMBDA, here 2.5.
    effect = 1 - np.sqrt(1 - (1.5 / INR_MAX) ** (1 / LAMBDA))
    # Half of a dose is S-warfarin, and a day has 24 hours of clearance.
    doses = (
        48
        * simulation.people["CL"]
        * simulation.people["EC50"]
        * (effect / (1 - effect)) ** (1 / GAMMA)
    )

    def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
        return one_hot(action_of(doses[simulation.who], 7), int(simulation.action_space.n))

    return policy


def population(
    cohort: Cohort, genotypes: str = "all", patients: int = 1_000
) -> dict[str, NDArray[np.float64]]:
    """Who they are: alleles (two, three, a), age, weight, height, and their parameters, each
    (patients,)."""
    if cohort == "published":
        genes = np.array([[0, 1]])
        age = np.array([71.0])
        weight = np.array([80.0])
        height = np.array([170.0])
        shares = {name: np.ones(1) for name in VARYING}
    else:
        random = np.random.default_rng([COHORT_SEEDS[cohort], len(PUBLISHED)])
        origin = HAN if cohort == "shifted" else AURORA

        def within(about: tuple[float, float], low: float, high: float) -> NDArray[np.float64]:
            mean, deviation = about
            bounds = (low - mean) / deviation, (high - mean) / deviation
            from scipy.stats import (
                truncnorm,
            )  # here, because it takes a second and few commands need it

            return np.asarray(
                truncnorm.rvs(*bounds, mean, deviation, size=patients, random_state=random)
            )

        pairs = np.outer(origin.cyp2c9, origin.vkorc1)
        unseen = np.zeros_like(pairs, np.bool_)
        unseen[tuple(np.transpose(UNSEEN))] = True
        if cohort == "train" or genotypes == "unseen":
            # To train on, only pairs that are not unseen; with `unseen`, only those that are.
            pairs[unseen == (cohort == "train")] = 0
        genes = np.stack(
            np.divmod(random.choice(pairs.size, patients, p=pairs.ravel() / pairs.sum()), 3), 1
        )
        age = within(origin.age, 18, 100)
        weight = within(origin.weight, 35, 200)
        height = within(origin.height, 130, 210)
        spreads = {name: np.sqrt(np.log1p(varying**2)) for name, varying in VARYING.items()}
        shares = {
            name: np.exp(within((0, spread), -2 * spread, 2 * spread))
            for name, spread in spreads.items()
        }
    cyp2c9, vkorc1 = genes.T
    parameters = {name: PUBLISHED[name] * share for name, share in shares.items()}
    parameters["CL"] *= (1 - AGEING * (age - 71)) * (1 - CLEARANCE_LOST[cyp2c9])
    parameters["EC50"] *= EC50_SHARE[vkorc1]
    two, three = CYP2C9[cyp2c9].T.astype(np.float64)
    about = {
        "two": two,
        "three": three,
        "a": vkorc1.astype(np.float64),
        "age": age,
        "weight": weight,
        "height": height,
    }
    return about | parameters


def courses(people: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """What a day does to each of P patients: exact, but for the effect, which is constant within
    each of its parts."""
    from scipy.special import (
        gammainc,
        gammaln,
        xlogy,
    )  # here, because it takes a third of a second and settings do without

    into = EXCHANGE / people["V1"]
    back = EXCHANGE / people["V2"]
    out = people["CL"] / people["V1"]
    half = (into + back + out) / 2
    root = np.sqrt(half**2 - back * out)
    rates = np.stack([half + root, half - root, np.full_like(half, ABSORPTION)], 1)
    # Amplitudes of the two-compartment model's three exponentials, after a dose of 1 mg of which
    # half is S-warfarin.
    others = np.stack([rates[:, [1, 2]], rates[:, [0, 2]], rates[:, [0, 1]]], 1)
    absorbed = (back[:, None] - rates) / np.prod(others - rates[..., None], 2)
    absorbed *= (ABSORPTION / 2 / people["V1"])[:, None]
    edges = np.linspace(24, 0, LEVELS + 1)
    middles = 24 - (edges[1:] + edges[:-1]) / 2
    fast = 6 / people["MTT1"]
    slow = 1 / people["MTT2"]
    # Of what is made a time ago, gamma-distributed arrivals have reached a compartment; of what
    # stood in one, Poisson's number of moves tells where it is.
    arrived = gammainc(np.arange(1, 7)[:, None], fast[:, None, None] * edges)
    moves = np.arange(6)[:, None] - np.arange(6)
    expected = 24 * fast[:, None, None]
    moved = np.where(
        moves < 0,
        0.0,
        np.exp(xlogy(moves, expected) - expected - gammaln(np.maximum(moves, 0) + 1.0)),
    )
    left = np.exp(-slow[:, None] * edges)
    return {
        "absorbed": absorbed,
        "levels": np.exp(-rates[..., None] * middles),
        "drug_kept": np.exp(-24 * rates),
        "ec50": people["EC50"] ** GAMMA,
        "fast_kept": moved,
        "fast_made": arrived[..., :-1] - arrived[..., 1:],
        "slow_kept": left[:, 0],
        "slow_made": left[:, 1:] - left[:, :-1],
    }


def rosendaal(
    before: NDArray[np.float64], after: NDArray[np.float64], days: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Days in range between two tests, INR taken as moving straight from one to the other
    (Rosendaal et al. 1993)."""
    day = np.arange(1, max(INTERVALS) + 1)
    inr = before[:, None] + (after - before)[:, None] * day / np.maximum(days, 1)[:, None]
    return ((inr >= LOW) & (inr <= HIGH) & (day <= days[:, None])).sum(1)
