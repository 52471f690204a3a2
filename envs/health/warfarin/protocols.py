"""How clinicians dose warfarin: an initial dose, its revision, and maintenance by tables of INR.

The arms of Ravvaz et al. 2017 are made of these: AAA (Aurora throughout), CAA (the clinical
algorithm of the International Warfarin Pharmacogenetics Consortium first), PGAA (its
pharmacogenetic one), PGPGA (loading doses of EU-PACT, then Lenzini's revision) and PGPGI (with
Intermountain's maintenance). Doses are given as the nearest on offer, and reckoned on with as they
were meant. An INR of 5 or more is seen to at once. Not for clinical use."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.policy import Policy
from envs.health.core.policies import one_hot, read
from envs.health.core.simulation import Simulation

DOSES = np.arange(31) / 2
"""mg a day."""
INTERVALS = np.array([1, 2, 3, 5, 7, 14, 28])
"""Days to the next test."""
HOLD = 5.0
"""A measured INR at which nothing may be given."""
NAMES = (
    "CYP2C9 *2 alleles",
    "CYP2C9 *3 alleles",
    "VKORC1 A alleles",
    "age, years",
    "weight, kg",
    "height, cm",
    "days",
    "INR",
    "INR before",
    "INR before that",
    "dose, mg",
    "dose before, mg",
    "dose before that, mg",
    "days since the test before",
    "days between the two before",
)
TARGET = 2.5
"""INR that the algorithms aim at."""

Floats = NDArray[np.float64]
Readings = dict[str, Floats]
Orders = list[tuple[Floats, NDArray | int]]
"""Up to three: doses (N,), each for so many days, one after the other; for no days where there is
none."""
Start = Callable[[Readings], Orders]


class Course(NamedTuple):
    """What a clinic has written down of each of N patients."""

    dose: Floats
    """That stands, mg a day (N,), though it may be held at present."""
    pending: Floats
    """Orders still to be followed (N, 3, 2): dose and days."""
    days: NDArray
    """Of the last order followed (N,)."""
    tests: NDArray
    """How many have been decided by (N,)."""
    stable: NDArray
    """Days that INR has been in range with the dose unchanged, by Aurora's reckoning (N,)."""
    zone: NDArray
    """Of Intermountain's, at the test before (N,); -1 at first."""
    held: NDArray
    """Whether nothing is given until INR has come down (N,)."""


Maintenance = Callable[[Course, Floats], Course]
"""What is done about a measured INR."""


def action_of(doses: Floats, days: NDArray | int) -> NDArray[np.int64]:
    """The actions (N,) nearest to these doses, and to these days from below."""
    which = np.clip(np.rint(2 * doses), 0, len(DOSES) - 1).astype(np.int64)
    return which * len(INTERVALS) + np.searchsorted(INTERVALS, days, "right") - 1


def fixed(dose: float) -> Callable[[Simulation], Policy]:
    """This dose with a test each week; held for two days where it must be."""

    def made(simulation: Simulation) -> Policy:
        def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
            hold = read(NAMES, observations)["INR"] >= HOLD
            return one_hot(
                action_of(np.where(hold, 0.0, dose), np.where(hold, 2, 7)),
                len(DOSES) * len(INTERVALS),
            )

        return policy

    return made


def protocol(
    start: Start, revise: Start | None, maintain: Maintenance
) -> Callable[[Simulation], Policy]:
    """Initial orders, at the first test after them a revised dose if there is one, then
    maintenance."""

    def made(simulation: Simulation) -> Policy:
        course: Course | None = None

        def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray[np.float64]:
            nonlocal course
            readings = read(NAMES, observations)
            begun = started(start(readings))
            if course is None or len(course.dose) != len(first):
                course = begun
            high = readings["INR"] >= HOLD
            followed = maintain(course, readings["INR"])
            if revise is not None:
                early = (course.tests == 0) & ~high
                followed = merged(early, ordered(course, revise(readings)), followed)
            asked = (course.pending[:, 0, 1] == 0) | high
            course = merged(asked, followed._replace(tests=course.tests + 1), course)
            course = merged(first, begun, course)
            doses, days = course.pending[:, 0].T
            later = np.concatenate([course.pending[:, 1:], np.zeros_like(course.pending[:, :1])], 1)
            course = course._replace(pending=later, days=days)
            return one_hot(action_of(doses, days), len(DOSES) * len(INTERVALS))

        return policy

    return made


def started(orders: Orders) -> Course:
    """The course of N patients who have had no test, with these orders pending."""
    none = np.zeros(len(orders[0][0]))
    course = Course(none, np.zeros((len(none), 3, 2)), none, none, none, none - 1, none > 0)
    return ordered(course, orders)


def ordered(course: Course, orders: Orders) -> Course:
    """With these orders pending; the last dose stands."""
    pending = np.zeros_like(course.pending)
    for place, (doses, days) in enumerate(orders):
        pending[:, place, 0] = doses
        pending[:, place, 1] = days
    return course._replace(dose=orders[-1][0], pending=pending)


def merged(rows: NDArray[np.bool_], one: Course, other: Course) -> Course:
    """One course's entries in these rows, the other's elsewhere."""
    columns = zip(one, other, strict=True)
    return Course(*(np.where(rows.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in columns))


def aurora(course: Course, inr: Floats) -> Course:
    """Ravvaz et al. 2017, supplement: the first test leads to 5 mg at most where INR is in range,
    for two days."""
    inr = np.round(inr, 2)
    band = np.searchsorted((1.5, 1.8, 2.0, 3.001, 3.4, 4.0, 5.001), inr, "right")
    factor = np.array([1.15, 1.1, 1.075, 1.0, 0.925, 0.9, 0.875, 0.85])[band]
    in_range = band == 3
    early = course.tests == 0
    stable = np.where(in_range, np.where(course.stable > 0, course.stable + course.days, 1), 0)
    retest = np.array([1, 5, 7, 14, 28])[np.searchsorted((2, 7, 14, 28), stable, "right")]
    held = (band == 7) | (course.held & (inr > 3.0))
    skipped = (band == 6) & ~held & ~early
    dose = np.where(course.held, course.dose, course.dose * factor)
    dose = np.where(early & (inr >= 2.0) & ~held, np.minimum(course.dose, 5.0), dose)
    days = np.where(early, 2, np.where(in_range & ~course.held, retest, 7))
    now = np.where(held | skipped, 0.0, dose)
    orders: Orders = [(now, np.where(held | skipped, 2, days)), (dose, np.where(skipped, 7, 0))]
    return ordered(course, orders)._replace(stable=stable, held=held)


def intermountain(course: Course, inr: Floats) -> Course:
    """Anderson et al. 2007, supplement B: seven zones of INR, and longer until the next test where
    the zone stays."""
    zone = np.searchsorted((1.6, 1.8, 2.0, 3.001, 3.4, 5.0), np.round(inr, 2), "right")
    same = zone == course.zone
    held = (zone == 6) | (course.held & (inr > 3.4))
    factor = np.array([1.1, 1.05, 1.0, 1.0, 1.0, 0.9, 1.0])[zone]
    factor = np.where(same & (zone == 2), 1.05, np.where(same & (zone == 4), 0.95, factor))
    released = course.held & ~held
    dose = course.dose * np.where(held, 1.0, np.where(released, 0.85, factor))
    # What is given at once, for a day, as a share of the dose that stood.
    share = np.array([2.0, 1.5, np.nan, np.nan, np.nan, 0.5, np.nan])[zone]
    share = np.where((zone == 5) & (inr >= 4.0), 0.0, share)
    at_once = ~np.isnan(share) & ~course.held
    new = np.array([5, 7, 14, 14, 14, 7, 7])[zone]
    old = np.array([14, 14, 14, 28, 14, 14, 7])[zone]
    days = np.where(released, 7, np.where(same, old, new) - at_once)
    now = np.where(held, 0.0, np.where(at_once, np.nan_to_num(share) * course.dose, dose))
    orders: Orders = [
        (now, np.where(held, 2, np.where(at_once, 1, days))),
        (dose, np.where(at_once & ~held, days, 0)),
    ]
    return ordered(course, orders)._replace(zone=zone.astype(np.float64), held=held)


def five(readings: Readings) -> Orders:
    """5 mg for two days."""
    return [(np.full(len(readings["INR"]), 5.0), 2)]


def aurora_start(readings: Readings) -> Orders:
    """Ravvaz et al. 2017, supplement: 10 mg below the age of 65, else 5, for two days."""
    return [(np.where(readings["age, years"] < 65, 10.0, 5.0), 2)]


def iwpc_clinical(readings: Readings) -> Orders:
    """International Warfarin Pharmacogenetics Consortium 2009, supplement, for two days; without
    race and drugs."""
    decades = readings["age, years"] // 10
    root = (
        4.0376
        - 0.2546 * decades
        + 0.0118 * readings["height, cm"]
        + 0.0134 * readings["weight, kg"]
    )
    return [(root**2 / 7, 2)]


def iwpc_pharmacogenetic(readings: Readings) -> Orders:
    """International Warfarin Pharmacogenetics Consortium 2009, supplement, for two days; without
    race and drugs."""
    return [(iwpc_dose(readings), 2)]


def iwpc_dose(readings: Readings) -> Floats:
    """mg a day, by genes."""
    two, three, a = alleles(readings)
    lost = np.array([[0.0, 0.9357, 2.3312], [0.5211, 1.9206, 2.3312], [1.0616, 2.3312, 2.3312]])[
        two, three
    ]
    root = 5.6044 - 0.2614 * (readings["age, years"] // 10) + 0.0087 * readings["height, cm"]
    root = root + 0.0128 * readings["weight, kg"] - np.array([0.0, 0.8677, 1.6974])[a] - lost
    # The equation gives the square root of a week's dose.
    return root**2 / 7


def iwpc_loading(readings: Readings) -> Orders:
    """EU-PACT (Avery et al. 2011): three daily doses that load what CYP2C9's variants clear
    slowly."""
    two, three, _ = alleles(readings)
    rate = np.array([[0.0189, 0.0132, 0.0075], [0.0158, 0.0090, 0.0075], [0.0130, 0.0075, 0.0075]])[
        two, three
    ]
    dose = iwpc_dose(readings)
    left = np.exp(-24 * rate)
    load = dose / ((1 - left) * (1 + left + left**2))
    return [(1.5 * load - 0.5 * dose, 1), (load, 1), (0.5 * load + 0.5 * dose, 1)]


def gage(readings: Readings) -> Orders:
    """Gage et al. 2008, the pharmacogenetic equation, for two days; without race, drugs, smoking
    and thrombosis."""
    two, three, a = alleles(readings)
    size = 0.4317 * body_surface(readings) - 0.00745 * readings["age, years"]
    return [
        (np.exp(0.9751 - 0.3238 * a + size - 0.4008 * three - 0.2066 * two + 0.2029 * TARGET), 2)
    ]


def lenzini(readings: Readings) -> Orders:
    """Lenzini et al. 2010, the pharmacogenetic equation, for two days from the fourth on; without
    race, drugs, stroke and diabetes."""
    two, three, a = alleles(readings)
    size = 0.24597 * body_surface(readings) - 0.00767 * readings["age, years"]
    seen = 0.26729 * TARGET - 0.51611 * np.log(np.maximum(readings["INR"], 0.5))
    given = 0.0169 * readings["dose before, mg"] + 0.02018 * readings["dose before that, mg"]
    genes = 0.23032 * a + 0.14745 * two + 0.3077 * three
    return [(np.exp(3.10894 - genes + size + seen + given) / 7, 2)]


def alleles(readings: Readings) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of CYP2C9 *2 and *3, and VKORC1 A, each 0 to 2 (N,)."""
    two, three, a = (np.clip(np.rint(readings[name]), 0, 2).astype(np.int64) for name in NAMES[:3])
    return two, three, a


def body_surface(readings: Readings) -> Floats:
    """m2 (Mosteller 1987)."""
    return np.sqrt(np.maximum(readings["height, cm"] * readings["weight, kg"], 1.0) / 3600)
