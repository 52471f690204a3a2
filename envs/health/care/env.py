"""Episodes of care (EpiCARE: Hargrave, Spaeth and Grosenick 2024, NeurIPS Datasets and Benchmarks).

A patient has one of 16 diseases, which nobody sees, and at each of at most 8 visits gets one of 16
treatments. It ends the disease with a probability that depends on both (remission); else the
disease may pass into another, and 8 symptoms are drawn that depend on disease, treatment and
patient. An episode ends with remission, with the last visit, or where a symptom is so bad that it
is an adverse event. Which diseases and treatments there are says `structure_seed`.

Rewards are the authors' times 100 / 64: remission 100, adverse event -100, and at each visit less
the treatment's cost and what the symptoms are worth. So a return is what they call a normalized
score. Seen are the symptoms, to one decimal, the treatment of the visit before, and, unless
`partial`, the disease. `cost` counts treatments that are known to make a symptom worse which is
read as 0.9 or 1, where there was one that does not.

To give nothing is not among the actions: the baseline "untreated" stands for the cheapest
treatment, whatever happens. The baselines know what treatments do on average, as a literature would
tell it, but of a patient only what is seen. "SMART" and "soft standard of care" may take any
treatment, as off-policy evaluation needs it.

The published cohort is new patients without end. The train and the held-out cohort are 10,000 of
them each, with the disease that they come with. In the shifted cohort any disease is as frequent as
any other, symptoms are worse by half a logit, and treatments end fewer diseases. The authors' time
between visits has no unit; here it is a week, and with other `step_hours` diseases pass into others
as much more or less often. Synthetic; not for clinical use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from common.policy import Policy
from common.ranges import Count, Range, Seed
from envs.health.care.structure import (
    ADVERSE,
    DISEASES,
    REMISSION,
    SYMPTOM_COST,
    SYMPTOM_EFFECT,
    SYMPTOMS,
    TREATMENT_COST,
    TREATMENTS,
    VISITS,
    WORST,
    Structure,
    expected_rewards,
    spaced,
    structure,
)
from envs.health.core.chart import Panel
from envs.health.core.cohorts import COHORT_SEEDS, Cohort
from envs.health.core.policies import always, one_hot, random_policy
from envs.health.core.simulation import Outcome, Simulation
from envs.health.core.treatment import TreatmentConfig

SCORE = 100 / REMISSION
"""What the authors' rewards are multiplied by."""
PATIENT_LINK = PATIENT_REMISSION = (0.25, 1.75)
"""What the probabilities to pass into a disease, and of remission by a treatment, are multiplied by
for a patient."""
HEALTHY_SYMPTOM = 0.1
"""The most that a healthy patient has of a symptom."""
HIGH = 0.85
"""A symptom above is read as 0.9 or 1, more than 1 - kappa = 0.8 of the authors' standard of
care."""
LEARNING_RATE = 0.8
"""How far their standard of care goes to what it has just seen (alpha, in the notebook of their
figures)."""
MOST_TO_LEAST = 8.0
"""How much likelier their SMART (sequential, multiple assignment, randomized trial) takes the best
treatment than the worst."""
SOFTNESS = 0.2
"""Fraction of SMART in the soft standard of care; ours."""
WEEK = 168.0
"""Hours between visits; ours."""
PATIENTS = 10_000
"""In a cohort; ours."""


@dataclass(frozen=True)
class CareEpisodeConfig(TreatmentConfig):
    """Episodes of care: one of 16 treatments at each visit, for one of 16 diseases that only shows
    in symptoms (EpiCARE, Hargrave et al. 2024)."""

    slug: ClassVar[str] = "care-episode"
    random_return: ClassVar[float | None] = 1.7

    partial: bool = True
    """Hides the disease, as published; its readings are zero."""
    history: Count = 8
    """How many visits an observation has, side by side, the newest last; before the first one are
    zeros."""
    step_hours: Annotated[float, Range(24.0, 2_016.0)] = WEEK
    """Between two visits."""
    structure_seed: Seed = 1
    """Which diseases and treatments there are; 1 to 8 are published."""

    def simulation(self, patients: int) -> Simulation:
        return CareEpisodeSimulation(self, patients)

    def baselines(self) -> dict[str, Callable[[Simulation], Policy]]:
        seed = self.structure_seed
        return {
            "random": random_policy,
            "untreated": always(int(structure(seed).costs.argmin())),
            "SMART": trial(seed),
            "standard of care": standard_of_care(seed),
            "cautious standard of care": standard_of_care(seed, cautious=True),
            "soft standard of care": standard_of_care(seed, softness=SOFTNESS),
            "Bayes": diagnosis(seed),
            "oracle": oracle(seed),
        }


class Population(NamedTuple):
    """What patients (N) differ by."""

    diseases: NDArray[np.int64]
    """(N,), that they come with."""
    links: NDArray[np.float64]
    """(N, D), what the probability to pass into a disease is multiplied by."""
    remission: NDArray[np.float64]
    """(N, A), what its probability is multiplied by."""
    worst: NDArray[np.float64]
    """(N,), beyond which a symptom is an adverse event."""
    symptoms: NDArray[np.float64]
    """(N, S), added to symptoms under treatment, logits."""


def population(
    world: Structure, cohort: Cohort, patients: int, random: np.random.Generator
) -> Population:
    """New patients."""
    shares = world.shares
    remission = PATIENT_REMISSION
    symptoms = SYMPTOM_EFFECT
    if cohort == "shifted":
        shares = np.full(DISEASES, 1 / DISEASES)
        remission = (0.25, 1.25)
        symptoms = (-1.5, 1.5)
    return Population(
        random.choice(DISEASES, patients, p=shares),
        random.uniform(*PATIENT_LINK, (patients, DISEASES)),
        random.uniform(*remission, (patients, TREATMENTS)),
        random.uniform(WORST**2, 1, patients),
        random.uniform(*symptoms, (patients, SYMPTOMS)),
    )


class CareEpisodeSimulation:
    """Episodes of primary care: diseases that show in symptoms, and treatments that act on them."""

    names = (
        *(f"symptom {n + 1}, 0 to 1" for n in range(SYMPTOMS)),
        *(f"treatment {n + 1}" for n in range(TREATMENTS)),
        *(f"disease {n + 1}" for n in range(DISEASES)),
    )
    observation_space = Box(0.0, 1.0, (len(names),), np.float32)
    action_space = Discrete(TREATMENTS)
    doses: ClassVar[dict[str, NDArray]] = {"treatment, 1 to 16": np.arange(TREATMENTS) + 1}
    # What was given is known without error.
    spread = np.repeat([0.3, 0.0, 0.0], [SYMPTOMS, TREATMENTS, DISEASES])
    hidden = np.repeat([False, False, True], [SYMPTOMS, TREATMENTS, DISEASES])
    panels = (
        Panel("worst symptom, 0 to 1", 0, 1, (0, HIGH)),
        Panel("mean of the symptoms, 0 to 1", 0, 1),
        Panel("disease, 1 to 16; 0 in remission", 0, DISEASES, (0, 0.5)),
        Panel("treatment, 1 to 16", 0, TREATMENTS, dose=True),
        Panel("cost of the treatment; remission is worth 64", 0, TREATMENT_COST[1], dose=True),
    )

    def __init__(self, config: CareEpisodeConfig, patients: int) -> None:
        self.step_hours = config.step_hours
        self.cohort = config.cohort
        self.structure = world = structure(config.structure_seed)
        self.links = spaced(world.links, config.step_hours / WEEK)
        self.table = None
        if config.cohort != "published":
            seed = [COHORT_SEEDS[config.cohort], config.structure_seed]
            self.table = population(world, config.cohort, PATIENTS, np.random.default_rng(seed))
        # Arrays of the right shapes; `admit` writes the patients into them.
        self.patients = population(world, config.cohort, patients, np.random.default_rng(0))
        self.diseases = np.zeros(patients, np.int64)
        self.symptoms = np.zeros((patients, SYMPTOMS))
        self.given = np.full(patients, -1)
        self.visits = np.zeros(patients, np.int64)
        self.well = np.zeros(patients, np.bool_)
        self.adverse = np.zeros(patients, np.bool_)
        self.burden = np.zeros(patients)
        self.spent = np.zeros(patients)

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        if self.table is None:
            new = population(self.structure, "published", len(rows), random)
        else:
            who = random.integers(PATIENTS, size=len(rows))
            new = Population._make(column[who] for column in self.table)
        for mine, theirs in zip(self.patients, new, strict=True):
            mine[rows] = theirs
        self.diseases[rows] = new.diseases
        # As the authors have it, a patient's own effect on symptoms shows from the first treatment
        # on.
        self.symptoms[rows] = probabilities(self._drawn(self.diseases[rows], random))
        self.given[rows] = -1
        for column in (self.visits, self.well, self.adverse, self.burden, self.spent):
            column[rows] = 0

    def observe(self) -> NDArray[np.float64]:
        given = np.arange(TREATMENTS) == self.given[:, None]
        diseases = (np.arange(DISEASES) == self.diseases[:, None]) & ~self.well[:, None]
        return np.concatenate([self.symptoms.round(1), given, diseases], 1)

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        world = self.structure
        everyone = np.arange(len(actions))
        costs = contraindicated(world, self.symptoms)[everyone, actions].astype(np.float64)
        chances = (
            world.remission[self.diseases, actions] * self.patients.remission[everyone, actions]
        )
        self.well = random.random(len(actions)) < chances
        edges = (self.links[self.diseases] * world.modifiers[actions] * self.patients.links).cumsum(
            1
        )
        # The weights need not sum to 1, so the draw is scaled by their sum.
        passed = (random.random(len(actions))[:, None] * edges[:, -1:] >= edges).sum(1)
        self.diseases = np.where(self.well, self.diseases, passed)
        sick = probabilities(
            self._drawn(self.diseases, random) + world.effects[actions] + self.patients.symptoms
        )
        self.symptoms = np.where(
            self.well[:, None], HEALTHY_SYMPTOM * random.random(sick.shape), sick
        )
        self.adverse = self.symptoms.max(1) > self.patients.worst
        self.given = actions.copy()
        self.visits += 1
        self.burden += self.symptoms.mean(1)
        self.spent += world.costs[actions]
        worth = np.where(
            self.well, REMISSION, ADVERSE * self.adverse - SYMPTOM_COST * self.symptoms.sum(1)
        )
        over = self.well | self.adverse | (self.visits >= VISITS)
        return Outcome(
            SCORE * (worth - world.costs[actions]), over, np.zeros(len(over), np.bool_), costs
        )

    def allowed(self) -> None:
        return None

    def fallback(self) -> NDArray[np.int64]:
        return np.zeros(len(self.visits), np.int64)

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        return {
            "remission": self.well.astype(np.float64),
            "adverse_event": self.adverse.astype(np.float64),
            "visits_to_remission": np.where(self.well, self.visits, np.nan),
            "symptom_burden": self.burden / np.maximum(self.visits, 1),
            "treatment_cost": self.spent.copy(),
        }

    def vitals(self) -> tuple[float, ...]:
        disease = 0 if self.well[0] else int(self.diseases[0]) + 1
        given = int(self.given[0])
        dose = (np.nan, np.nan) if given < 0 else (given + 1, float(self.structure.costs[given]))
        return float(self.symptoms[0].max()), float(self.symptoms[0].mean()), disease, *dose

    def _drawn(
        self, diseases: NDArray[np.int64], random: np.random.Generator
    ) -> NDArray[np.float64]:
        """Symptoms of the diseases (N, S), logits."""
        normal = random.standard_normal((len(diseases), SYMPTOMS))
        return self.structure.means[diseases] + np.einsum(
            "nst,nt->ns", self.structure.factors[diseases], normal
        )


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function."""
    from scipy.special import (
        expit,
    )  # here, because it takes a third of a second and settings do without

    return expit(logits)


def contraindicated(world: Structure, symptoms: NDArray) -> NDArray[np.bool_]:
    """Which treatments make a symptom worse that is high (N, A), of symptoms (N, S); none where all
    do."""
    worse = (symptoms > HIGH) @ (world.effects.T > 0)
    return worse & ~worse.all(1, keepdims=True)


def trial(seed: int) -> Callable[[Simulation], Policy]:
    """SMART: every treatment, the likelier the better it is for all patients on average."""

    def made(simulation: Simulation) -> Policy:
        row = trial_probabilities(seed)[None]
        return lambda observations, first: np.repeat(row, len(observations), 0)

    return made


def trial_probabilities(seed: int) -> NDArray[np.float64]:
    """(A,)."""
    worth = structure(seed).shares @ expected_rewards(seed)
    odds = MOST_TO_LEAST ** ((worth - worth.max()) / np.ptp(worth))
    return odds / odds.sum()


def standard_of_care(
    seed: int, *, cautious: bool = False, softness: float = 0.0
) -> Callable[[Simulation], Policy]:
    """What is best for all patients on average, until it was seen to do less for this one; but
    nothing contraindicated if `cautious`, and with `softness` as probability it is drawn as in
    SMART."""

    def made(simulation: Simulation) -> Policy:
        world = structure(seed)
        average = world.shares @ expected_rewards(seed)
        drawn = trial_probabilities(seed)
        worth = np.zeros((0, TREATMENTS))

        def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
            nonlocal worth
            if len(worth) != len(first):
                worth = np.repeat(average[None], len(first), 0)
            worth[first] = average
            symptoms, given = readings(observations)
            seen = -world.costs - SYMPTOM_COST * symptoms.sum(1, keepdims=True)
            worth = np.where(given, (1 - LEARNING_RATE) * worth + LEARNING_RATE * seen, worth)
            choice = (
                np.where(contraindicated(world, symptoms), -np.inf, worth) if cautious else worth
            )
            return (1 - softness) * one_hot(choice.argmax(1), TREATMENTS) + softness * drawn

        return policy

    return made


def diagnosis(seed: int) -> Callable[[Simulation], Policy]:
    """What is best at this visit for the diseases that it may be, by Bayes' rule from all that was
    seen; as if what patients differ by were drawn anew at each visit."""

    from scipy.special import logit  # as in `probabilities`

    def made(simulation: Simulation) -> Policy:
        world = structure(seed)
        worth = expected_rewards(seed)
        covariances = world.factors @ world.factors.transpose(0, 2, 1)
        low, high = SYMPTOM_EFFECT
        treated = covariances + np.eye(SYMPTOMS) * (high - low) ** 2 / 12
        passes = world.links * world.modifiers[:, None]
        passes /= passes.sum(2, keepdims=True)
        chances = np.minimum(
            1, np.linspace(*PATIENT_REMISSION, 101)[:, None, None] * world.remission
        ).mean(0)
        belief = np.zeros((0, DISEASES))

        def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
            nonlocal belief
            if len(belief) != len(first):
                belief = np.repeat(world.shares[None], len(first), 0)
            symptoms, given = readings(observations)
            action = given.argmax(1)
            later = (given.any(1) & ~first)[:, None]
            belief = np.einsum("nd,nde->ne", belief * (1 - chances[:, action].T), passes[action])
            belief = np.where(first[:, None], world.shares, belief)
            # A reading of 0 or 1 stands for the middle of what is rounded to it.
            seen = logit(np.clip(symptoms, 0.025, 0.975)) - later * (
                world.effects[action] + (low + high) / 2
            )
            likelihood = np.where(
                later,
                log_normal(seen, world.means, treated),
                log_normal(seen, world.means, covariances),
            )
            belief = belief * np.exp(likelihood - likelihood.max(1, keepdims=True)) + 1e-12
            belief /= belief.sum(1, keepdims=True)
            return one_hot((belief @ worth).argmax(1), TREATMENTS)

        return policy

    return made


def log_normal(
    values: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of values (N, S), the logarithm of the densities with means (D, S) and covariances (D, S, S),
    but for a constant: (N, D)."""
    apart = values[:, None] - means
    distances = np.einsum(
        "nds,dst,ndt->nd", apart, np.linalg.inv(covariances), apart, optimize=True
    )
    return -0.5 * (distances + np.linalg.slogdet(covariances).logabsdet)


def oracle(seed: int) -> Callable[[Simulation], Policy]:
    """What is best at this visit for the disease, which it sees in the simulation."""

    def made(simulation: Simulation) -> Policy:
        assert isinstance(simulation, CareEpisodeSimulation)
        best = expected_rewards(seed).argmax(1)
        return lambda observations, first: one_hot(best[simulation.diseases], TREATMENTS)

    return made


def readings(observations: NDArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The newest symptoms (N, S), and which treatment was given at the visit before (N, A)."""
    newest = observations[:, -(SYMPTOMS + TREATMENTS + DISEASES) :].astype(np.float64)
    return newest[:, :SYMPTOMS], newest[:, SYMPTOMS : SYMPTOMS + TREATMENTS] > 0.5
