"""The worlds of episodes of care: which diseases and treatments there are (EpiCARE: Hargrave, Spaeth and Grosenick
2024), drawn from a seed number by number as the authors' program draws them, so that seeds 1 to 8 are the worlds of
their figures. The ranges are the defaults of that program."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DISEASES = 16
TREATMENTS = 16
SYMPTOMS = 8
VISITS = 8
REMISSION, ADVERSE = 64.0, -64.0
"""Rewards."""
SYMPTOM_COST = REMISSION / (2 * VISITS * SYMPTOMS)
"""Of a symptom as bad as can be, at one visit."""
TREATMENT_COST = (1.0, REMISSION / (2 * VISITS))
SYMPTOM_MEAN, SYMPTOM_DEVIATION = (0.0, 2.0), (1.0, 2.0)
"""Of a disease, logits."""
SYMPTOM_EFFECT = (-2.0, 1.0)
"""Of a treatment on some of the symptoms, and of being this patient on all of them, logits."""
REMISSION_CHANCE = (0.8, 1.0)
"""Of a treatment for a disease that it is for."""
LINK_CHANCE, LINK = 1 / DISEASES, (0.01, 0.2)
"""That a disease may pass into another, and back, and how likely it does between two visits."""
TREATMENT_LINK = (0.5, 1.5)
"""What that is multiplied by for a treatment."""
WORST = 0.999
"""A symptom beyond is an adverse event."""


class Structure(NamedTuple):
    """Diseases (D), treatments (A) and symptoms (S) of one world."""

    means: NDArray[np.float64]
    """(D, S), of the symptoms, logits."""
    factors: NDArray[np.float64]
    """(D, S, S), whose products with their transposes are the symptoms' covariances."""
    remission: NDArray[np.float64]
    """(D, A), its probability."""
    costs: NDArray[np.float64]
    """(A,)."""
    effects: NDArray[np.float64]
    """(A, S), on the symptoms, logits."""
    modifiers: NDArray[np.float64]
    """(A, D), what the probability to pass into a disease is multiplied by."""
    links: NDArray[np.float64]
    """(D, D), the probabilities to pass from one disease into another between two visits."""
    shares: NDArray[np.float64]
    """(D,), of the diseases among new patients: where nobody is treated, they stay so."""


@lru_cache
def structure(seed: int) -> Structure:
    """The world of a seed."""
    random = np.random.RandomState(seed)
    means = np.zeros((DISEASES, SYMPTOMS))
    factors = np.zeros((DISEASES, SYMPTOMS, SYMPTOMS))
    for disease in range(DISEASES):
        means[disease] = random.uniform(*SYMPTOM_MEAN, SYMPTOMS)
        deviations = np.sort(random.uniform(*SYMPTOM_DEVIATION, SYMPTOMS))[::-1]
        factors[disease] = np.linalg.qr(random.normal(size=(SYMPTOMS, SYMPTOMS))).Q * deviations
    remission = np.zeros((DISEASES, TREATMENTS))
    for treatment in range(TREATMENTS):
        # The authors' program draws a disease twice, and heeds the second only.
        random.choice(DISEASES, 1, replace=False)
        disease = random.randint(DISEASES)
        remission[disease, treatment] = random.uniform(*REMISSION_CHANCE)
    for disease in np.flatnonzero(~remission.any(1)):
        treatment = random.randint(TREATMENTS)
        remission[disease, treatment] = random.uniform(*REMISSION_CHANCE)
    costs = np.zeros(TREATMENTS)
    effects = np.zeros((TREATMENTS, SYMPTOMS))
    modifiers = np.zeros((TREATMENTS, DISEASES))
    for treatment in range(TREATMENTS):
        costs[treatment] = random.uniform(*TREATMENT_COST)
        affected = random.choice(SYMPTOMS, random.randint(1, SYMPTOMS), replace=False)
        effects[treatment, affected] = random.uniform(*SYMPTOM_EFFECT, len(affected))
        modifiers[treatment] = random.uniform(*TREATMENT_LINK, DISEASES)
    links = np.zeros((DISEASES, DISEASES))
    for start in range(DISEASES):
        for end in range(DISEASES):
            if start != end and random.rand() < LINK_CHANCE:
                links[start, end] = random.uniform(*LINK)
                links[end, start] = random.uniform(*LINK)
    # In one world of some thousand a disease would pass on with a probability above 1.
    links += np.diag(np.maximum(0, 1 - links.sum(1)))
    links /= links.sum(1, keepdims=True)
    return Structure(means, factors, remission, costs, effects, modifiers, links, stationary(links))


def stationary(links: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often each state is met in the long run (D,), from a start in any of them as likely as in
    any other; of probabilities to pass from one to another (D, D), which back are zero only where
    they are zero there."""
    from scipy.sparse.csgraph import (
        connected_components,
    )  # here, because it takes a seventh of a second and settings do without

    shares = np.zeros(len(links))
    _, groups = connected_components(links)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        balance = np.vstack(
            [links[np.ix_(members, members)].T - np.eye(len(members)), np.ones(len(members))]
        )
        shares[members] = (
            np.linalg.lstsq(balance, np.eye(len(members) + 1)[-1])[0] * len(members) / len(links)
        )
    return shares / shares.sum()


def spaced(links: NDArray[np.float64], spaces: float) -> NDArray[np.float64]:
    """Probabilities to pass on (D, D) in one space of time -> in so many, of who passes on once at
    most."""
    stays = links.diagonal()
    passes = 1 - stays
    scaled = (
        links
        * np.divide(1 - stays**spaces, passes, where=passes > 0, out=np.zeros_like(passes))[:, None]
    )
    np.fill_diagonal(scaled, stays**spaces)
    return scaled


@lru_cache
def expected_rewards(seed: int) -> NDArray[np.float64]:
    """Of each treatment for each disease (D, A), at one visit of the average patient.

    As the authors have it, the symptoms' share is that of their means in logits, whatever the
    treatment."""
    from scipy.special import logit
    from scipy.stats import qmc  # here, because it takes a second and few commands need it

    world = structure(seed)
    normal = qmc.MultivariateNormalQMC(np.zeros(SYMPTOMS), rng=0).random(8_192)
    adverse = np.zeros((DISEASES, TREATMENTS))
    for disease in range(DISEASES):
        symptoms = world.means[disease] + normal @ world.factors[disease].T
        adverse[disease] = ((symptoms[:, None] + world.effects).max(2) > logit(WORST)).mean(0)
    symptom_cost = SYMPTOM_COST * world.means.sum(1, keepdims=True)
    return REMISSION * world.remission + ADVERSE * adverse - world.costs - symptom_cost
