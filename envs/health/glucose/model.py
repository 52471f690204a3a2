"""The body of the UVA/Padova type 1 diabetes simulator, its meals and its glucose sensor, for many
patients at once.

Glucose, insulin and the gut are those of Dalla Man, Rizza and Cobelli 2007 and Dalla Man et al.
2006; subcutaneous insulin and the 30 virtual patients those of Kovatchev et al. 2008 (S2008, the
version that simglucose 0.2.11 publishes: without glucagon and without a day's rhythm, which S2013
added). Numpy only; synthetic; not for clinical use."""

import csv
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from envs.health.core.ode import runge_kutta_step

PARAMETERS = {
    "BW": "body weight, kg",
    "kabs": "glucose absorbed from the gut, 1/min",
    "kmax": "fastest emptying of the stomach, 1/min",
    "kmin": "slowest emptying of the stomach, 1/min",
    "b": "share of a meal in the stomach, above which it empties fast",
    "d": "share of a meal in the stomach, below which it empties fast again",
    "f": "share of absorbed glucose that reaches the plasma",
    "Vg": "volume of glucose, dl/kg",
    "k1": "glucose from plasma to tissue, 1/min",
    "k2": "glucose from tissue to plasma, 1/min",
    "kp1": "glucose made by the liver without glucose and insulin, mg/kg/min",
    "kp2": "how much less glucose the liver makes for plasma glucose, 1/min",
    "kp3": "how much less for delayed insulin, mg/kg/min per pmol/l",
    "Fsnc": "glucose that brain and red cells use, mg/kg/min",
    "ke1": "glucose excreted by the kidneys, 1/min",
    "ke2": "plasma glucose above which they excrete, mg/kg",
    "Vm0": "greatest use of glucose by tissue without insulin, mg/kg/min",
    "Vmx": "how much more with insulin, mg/kg/min per pmol/l",
    "Km0": "tissue glucose at which half of that is used, mg/kg",
    "p2u": "insulin beginning to act on tissue, 1/min",
    "Vi": "volume of insulin, l/kg",
    "Ib": "plasma insulin under the prescribed basal, pmol/l",
    "ki": "insulin beginning to act on the liver, 1/min",
    "m1": "insulin from liver to plasma, 1/min",
    "m2": "insulin from plasma to liver, 1/min",
    "m4": "insulin lost from the plasma, 1/min",
    "m30": "insulin lost from the liver, 1/min",
    "kd": "insulin under the skin, one kind becoming the other, 1/min",
    "ka1": "the first kind absorbed, 1/min",
    "ka2": "the second kind absorbed, 1/min",
    "ksc": "glucose under the skin following the plasma's, 1/min",
    "Gpb": "plasma glucose in the steady state under the prescribed basal, mg/kg",
    "Gtb": "tissue glucose there, mg/kg",
    "Ipb": "plasma insulin there, pmol/kg",
    "Ilb": "liver insulin there, pmol/kg",
    "isc1ss": "insulin of the first kind under the skin there, pmol/kg",
    "isc2ss": "insulin of the second kind there, pmol/kg",
    "u2ss": "prescribed basal insulin, pmol/kg/min",
    "CR": "prescribed carbohydrate ratio, g/U",
    "CF": "prescribed correction factor, mg/dl/U",
}
STEADY = ("", "", "", "Gpb", "Gtb", "Ipb", "", "Ib", "Ib", "Ilb", "isc1ss", "isc2ss", "Gpb")
"""The state of a fasting patient under the prescribed basal: stomach (solid, liquid) and gut, mg;
glucose in plasma and tissue, mg/kg; insulin in the plasma, pmol/kg; its action on tissue, and two
delays of that on the liver, pmol/l; insulin in the liver, and of two kinds under the skin, pmol/kg;
glucose under the skin, mg/kg."""
PLASMA = 3
TISSUE = 4
SENSED = 12

PICOMOLES = 6_000.0
"""In a unit of insulin."""
MAX_EATEN = 5.0
"""Carbohydrates that a patient eats in a minute, g (simglucose's EAT_RATE)."""

MEALS = np.array(
    [
        # how likely, earliest, latest, usual hour and its deviation, g and their deviation
        [0.95, 5, 9, 7, 1, 45, 10],
        [0.3, 9, 10, 9.5, 0.5, 10, 5],
        [0.95, 10, 14, 12, 1, 70, 10],
        [0.3, 14, 16, 15, 0.5, 10, 5],
        [0.95, 16, 20, 18, 1, 80, 10],
        [0.3, 20, 23, 21.5, 0.5, 10, 5],
    ]
)
"""A day's meals and snacks (simglucose's RandomScenario); the same for children."""

SENSOR_MINUTES = 5
"""Between two readings (Medtronic Guardian RT)."""
SENSOR_RANGE = (39.0, 600.0)
"""Readings beyond are given as these, mg/dl."""
DRIFT_MINUTES = 15
"""Between two deviations of the sensor, of which each remembers 0.7 of the one before."""


def patients() -> dict[str, NDArray]:
    """The 30 virtual patients of `uva_padova.csv`: `name` and the columns of PARAMETERS, each
    (30,)."""
    with files("envs.health.glucose").joinpath("uva_padova.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    table: dict[str, NDArray] = {
        name: np.array([float(row[name]) for row in rows]) for name in PARAMETERS
    }
    return table | {"name": np.array([row["name"] for row in rows])}


def steady_state(p: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """Of fasting patients under their prescribed basal, (13, N)."""
    return np.stack([p[name] if name else np.zeros_like(p["BW"]) for name in STEADY])


def prescribed_basal(p: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """U/h, (N,)."""
    return 60 * p["u2ss"] * p["BW"] / PICOMOLES


def rates(
    state: NDArray[np.float64],
    eaten: NDArray[np.float64],
    insulin: NDArray[np.float64],
    meal: NDArray[np.float64],
    p: Mapping[str, NDArray],
) -> NDArray[np.float64]:
    """Changes a minute (13, N) of a state (13, N) while `eaten` g/min of carbohydrates go into the
    stomach and `insulin` U/min under the skin, each (N,); `meal` (N,) is what the stomach has held
    since the meal began, mg."""
    (
        solid,
        liquid,
        gut,
        plasma,
        tissue,
        insulin_plasma,
        action,
        delay,
        delayed,
        liver,
        first,
        second,
        sensed,
    ) = state
    # Before the first meal the stomach is empty, and what would empty it does not matter.
    held = solid + liquid
    full = np.maximum(meal, 1.0)
    emptying = p["kmin"] + (p["kmax"] - p["kmin"]) / 2 * (
        np.tanh(2.5 / (1 - p["b"]) * (held / full - p["b"]))
        - np.tanh(2.5 / p["d"] * (held / full - p["d"]))
        + 2
    )
    appearing = p["f"] * p["kabs"] * gut / p["BW"]
    made = np.maximum(p["kp1"] - p["kp2"] * plasma - p["kp3"] * delayed, 0)
    excreted = p["ke1"] * np.maximum(plasma - p["ke2"], 0)
    used = (p["Vm0"] + p["Vmx"] * action) * tissue / (p["Km0"] + tissue)
    concentration = insulin_plasma / p["Vi"]
    changes = np.empty_like(state)
    changes[0] = 1_000 * eaten - p["kmax"] * solid
    changes[1] = p["kmax"] * solid - emptying * liquid
    changes[2] = emptying * liquid - p["kabs"] * gut
    # The published equations hold still what has fallen below zero.
    changes[3] = (plasma >= 0) * (
        made + appearing - p["Fsnc"] - excreted - p["k1"] * plasma + p["k2"] * tissue
    )
    changes[4] = (tissue >= 0) * (p["k1"] * plasma - p["k2"] * tissue - used)
    changes[5] = (
        p["m1"] * liver
        + p["ka1"] * first
        + p["ka2"] * second
        - (p["m2"] + p["m4"]) * insulin_plasma
    )
    changes[6] = p["p2u"] * (concentration - p["Ib"] - action)
    changes[7] = p["ki"] * (concentration - delay)
    changes[8] = p["ki"] * (delay - delayed)
    changes[9] = p["m2"] * insulin_plasma - (p["m1"] + p["m30"]) * liver
    changes[10] = insulin * PICOMOLES / p["BW"] - (p["ka1"] + p["kd"]) * first
    changes[11] = p["kd"] * first - p["ka2"] * second
    changes[12] = p["ksc"] * (plasma - sensed)
    return changes


def minute(
    state: NDArray[np.float64],
    eaten: NDArray[np.float64],
    insulin: NDArray[np.float64],
    meal: NDArray[np.float64],
    p: Mapping[str, NDArray],
) -> NDArray[np.float64]:
    """The state a minute later; arguments as of `rates`.

    The fastest rate of any patient is 1.3 a minute, which the Runge-Kutta method follows in one
    step."""
    return runge_kutta_step(lambda state: rates(state, eaten, insulin, meal, p), state, 1.0)


def drawn_meals(
    number: int, days: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """When meals begin, minutes after the first midnight, and their carbohydrates, whole g; each
    (number, 6 * days). A meal that is left out has 0 g."""
    from scipy.special import (
        ndtr,
        ndtri,
    )  # here, because it takes a third of a second and settings do without

    likely, earliest, latest, usual, deviation, grams, spread = MEALS.T
    below = ndtr((earliest - usual) / deviation)
    above = ndtr((latest - usual) / deviation)
    shape = (number, days, len(MEALS))
    hours = usual + deviation * ndtri(below + (above - below) * random.random(shape))
    times = np.round(60 * hours).astype(np.int64) + 1_440 * np.arange(days)[:, None]
    amounts = np.maximum(np.round(grams + spread * random.standard_normal(shape)), 0)
    amounts *= random.random(shape) < likely
    return times.reshape(number, -1), amounts.reshape(number, -1)


def sensor_error(deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """mg/dl, of a normally distributed deviation: skewed as Johnson's SU (Breton & Kovatchev 2008,
    Analysis, modeling, and simulation of the accuracy of continuous glucose sensors; figures of
    simglucose's sensor_params.csv)."""
    return -5.47 + 15.9574 * np.sinh((deviation + 0.5444) / 1.6898)


def next_deviation(
    deviation: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """A quarter of an hour later (Breton & Kovatchev 2008)."""
    return 0.7 * (deviation + random.standard_normal(deviation.shape))


def magni_risk(glucose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of mg/dl, at most 100: 0 at 139, 25 at 70 and 3.4 at 180 (Magni et al. 2007, as Fox et al.
    2020 reward it)."""
    return np.minimum(
        10 * (3.5506 * (np.log(np.maximum(glucose, 1.0)) ** 0.8353 - 3.7932)) ** 2, 100
    )


def kovatchev_risk(glucose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of mg/dl, at most 100: 0 at 112.5, 7.8 at both 70 and 180 (Kovatchev et al. 1997; its means
    are LBGI + HBGI)."""
    return np.minimum(10 * (1.509 * (np.log(np.maximum(glucose, 1.0)) ** 1.084 - 5.381)) ** 2, 100)
