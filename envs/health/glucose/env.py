"""Insulin for type 1 diabetes: the UVA/Padova simulator (Kovatchev et al. 2008; `model.py` has its
equations).

A patient has a pump and a glucose sensor. The pump gives what was prescribed: basal insulin, and a
bolus as a meal begins, of its carbohydrates / CR + (sensor - 140 mg/dl) / CF, the latter where the
sensor reads above 150 (simglucose's basal-bolus controller). The action corrects this for the next
half hour: two numbers in [-1, 1], for the basal insulin and for boluses; -1 gives none, 0 what was
prescribed, 1 the most, which is four times the basal and twice the bolus. So whatever an agent does
is near the patient's own prescription, as in pumps that close the loop, and doing nothing is the
standard of care.

Glucose is that under the skin, which a sensor without error would read; so it is in rewards and
metrics. The reward is minus the mean risk of the step: Magni's, which wants 139 mg/dl, or
Kovatchev's, which wants 112.5 and weighs both ends of the range of 70 to 180 alike. Glucose below
10 or above 600 mg/dl ends the episode, and is counted as if it stayed there for the rest of it, at
a risk of 100. `cost` is the share of the step in which basal insulin was asked for though the
sensor read below 70 mg/dl, and 1 for each bolus that was cut at 30 U. An episode is two days from
midnight, with meals by chance.

Insulin and carbohydrates on board are read as the fall and rise in glucose that the prescription
expects of them. Weight and doses are not told, or an agent would know each patient that it learnt
from.

Patients are adults, adolescents and children, ten of each. Train are the first seven, each in a
hundred variants: how sensitive tissue and liver are to insulin, how fast meals are absorbed,
weight, and what was prescribed for meals and for corrections vary log-normally by a quarter, so
that a prescription may be wrong. Held-out are the last three as published. Shifted are variants of
the last three as in an illness, under the same prescription, a fifth less sensitive and slower. All
of them begin with glucose up to a fifth above or below their steady state. The published patient is
adult#001, who begins in it.

With `partial` the controller is not told of meals; the patient still boluses for them. Meals are
the same for children as for adults, and sensitivity does not change in a day. Synthetic; not for
clinical use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from common.policy import Policy
from common.ranges import NonNegative, Range
from envs.health.core.chart import Panel
from envs.health.core.cohorts import COHORT_SEEDS, Cohort
from envs.health.core.policies import random_policy, read
from envs.health.core.simulation import Outcome, Simulation
from envs.health.core.treatment import TreatmentConfig
from envs.health.glucose import model

MAX_BASAL, MAX_BOLUS = 4.0, 2.0
"""Times what was prescribed."""
BOLUS_LIMIT = 30.0
"""U (the Insulet pump of simglucose's pump_params.csv)."""
TARGET, CORRECTED_ABOVE = 140.0, 150.0
"""mg/dl (simglucose's basal-bolus controller)."""
LOW = 70.0
"""mg/dl below which no basal insulin should be given."""
SURVIVED = (10.0, 600.0)
"""mg/dl (simglucose)."""
INSULIN_MINUTES, MEAL_MINUTES = 55.0, 40.0
"""Until insulin and carbohydrates on board have left each of two compartments, on average: their peaks (Hovorka et al.
2004)."""
VARYING = ("Vmx", "kp3", "kabs", "kmax", "kmin")
"""Sensitivity of tissue and liver to insulin, absorption of meals."""
MISJUDGED = ("BW", "CR", "CF")
"""Weight, and what was prescribed for meals and corrections; those of the train cohort vary,
too."""
VARIATION, VARIANTS = 0.25, 100
"""Coefficient of variation, and how many of each patient."""
MIDDLE = {"train": 1.0, "shifted": 0.8}
"""Around what share of the published."""
HOUR_OF_READINGS = 13
"""The newest, and those of the hour before."""


@dataclass(frozen=True)
class GlucoseConfig(TreatmentConfig):
    """Type 1 diabetes: basal insulin and boluses, by a glucose sensor (UVA/Padova; Kovatchev et al.
    2008)."""

    slug: ClassVar[str] = "glucose-t1d"

    group: Literal["all", "adult", "adolescent", "child"] = "all"
    """Of the train, held-out and shifted cohorts, whom; the published patient is an adult."""
    step_hours: Annotated[
        float, Range(1 / 12, 4.0, reason="a multiple of five minutes that divides a day")
    ] = 0.5
    """Between two decisions; a multiple of five minutes, between which the sensor reads."""
    days: Annotated[int, Range(1, 14)] = 2
    """Of an episode."""
    sensor_error: NonNegative = 1.0
    """Times the published error of the sensor."""
    risk: Literal["magni", "kovatchev"] = "magni"
    """What a reward is minus of."""
    suspend: bool = False
    """The pump gives no basal insulin while the sensor reads below 70 mg/dl, whatever is asked
    for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        readings = self.step_hours * 60 / model.SENSOR_MINUTES
        if (
            not 1 <= round(readings, 6) <= 48
            or abs(readings - round(readings)) > 1e-6
            or 288 % round(readings)
        ):
            raise ValueError(
                "step_hours must be a multiple of five minutes that divides a day, up to 4 hours, "
                "such as 0.5 or "
                f"0.25, not {self.step_hours}."
            )
        if self.cohort == "published" and self.group not in ("all", "adult"):
            raise ValueError(
                f"The published patient is an adult; there is no {self.group} in that cohort."
            )

    def simulation(self, patients: int) -> Simulation:
        return GlucoseSimulation(self, patients)

    def baselines(self) -> dict[str, Callable[[Simulation], Policy]]:
        return {
            "random": random_policy,
            "untreated": always_asking(-1.0),
            "standard of care": always_asking(0.0),
            "low-glucose suspend": low_glucose_suspend,
            "PID": pid,
        }


class GlucoseSimulation:
    """Patients with type 1 diabetes, by the UVA/Padova model, with meals and a sensor."""

    names = (
        "sensor, mg/dl",
        "change in 15 min, mg/dl",
        "change in an hour, mg/dl",
        "mean since admission, mg/dl",
        "insulin on board, mg/dl",
        "carbohydrates on board, mg/dl",
        "sine of the hour",
        "cosine of the hour",
    )
    observation_space = Box(
        np.array([0, -561, -561, 0, -600, 0, -1, -1], np.float32),
        np.array([600, 561, 561, 600, 2_000, 2_000, 1, 1], np.float32),
        dtype=np.float32,
    )
    action_space = Box(-1.0, 1.0, (2,), np.float32)
    doses: ClassVar[dict[str, NDArray]] = {
        "basal insulin, of what was prescribed": np.array([0.0, 1.0, MAX_BASAL]),
        "boluses, of what was prescribed": np.array([0.0, 1.0, MAX_BOLUS]),
    }
    spread = np.array([50.0, 20.0, 40.0, 25.0, 50.0, 50.0, 0.7, 0.7])
    hidden = np.array([False] * 5 + [True] + [False] * 2)
    panels = (
        Panel("glucose, mg/dl", 0, 400, (70, 180)),
        Panel("carbohydrates, g", 0, 100, dose=True),
        Panel("basal insulin, U/h", 0, 5, dose=True),
        Panel("bolus insulin, U", 0, 20, dose=True),
        Panel("Magni risk", 0, 60),
    )

    def __init__(self, config: GlucoseConfig, patients: int) -> None:
        self.config = config
        self.step_hours = config.step_hours
        self.table = cohort_table(config.cohort, config.group)
        self.parameters = {name: np.ones(patients) for name in model.PARAMETERS}
        self.minutes = np.zeros(patients, np.int64)
        self.state = model.steady_state(self.parameters)
        self.meal_times = np.zeros((patients, 6 * config.days), np.int64)
        self.meal_amounts = np.zeros((patients, 6 * config.days))
        self.eating = np.zeros((3, patients))
        """Announced and not yet eaten, g; eaten in the last minute, g; held by the stomach since
        the meal began, mg."""
        self.insulin_board = np.zeros((2, patients))
        self.meal_board = np.zeros((2, patients))
        self.deviations = np.zeros((2, patients))
        """Of the sensor, at the quarter hours before and after."""
        self.readings = np.zeros((HOUR_OF_READINGS, patients))
        self.read_sum = np.zeros(patients)
        self.told = np.zeros((8, patients))
        """Sums over readings: below 54, below 70, in range, above 180, above 250, glucose, and both
        risks."""
        self.risk = {"magni": 6, "kovatchev": 7}[config.risk]
        self.insulin = np.zeros(patients)
        self.failed = np.zeros(patients, np.bool_)
        self.given = np.zeros((3, patients))
        """In the last step: carbohydrates, g; basal insulin, U/h; boluses, U."""

    def admit(self, rows: NDArray[np.int64], random: np.random.Generator) -> None:
        who = random.integers(len(self.table["BW"]), size=len(rows))
        for name, column in self.table.items():
            self.parameters[name][rows] = column[who]
        self.state[:, rows] = model.steady_state(
            {name: column[who] for name, column in self.table.items()}
        )
        if self.config.cohort != "published":
            begins = random.uniform(0.8, 1.2, len(rows))
            for glucose in (model.PLASMA, model.TISSUE, model.SENSED):
                self.state[glucose, rows] *= begins
        self.meal_times[rows], self.meal_amounts[rows] = model.drawn_meals(
            len(rows), self.config.days, random
        )
        for kept in (self.eating, self.insulin_board, self.meal_board, self.told, self.given):
            kept[:, rows] = 0
        for kept in (self.minutes, self.read_sum, self.insulin):
            kept[rows] = 0
        self.failed[rows] = False
        first = random.standard_normal(len(rows))
        self.deviations[:, rows] = first, model.next_deviation(first, random)
        self.readings[:, rows] = self._sensed()[rows]

    def observe(self) -> NDArray[np.float64]:
        p = self.parameters
        now = self.readings[-1]
        hour = 2 * np.pi * self.minutes / 1_440
        count = self.minutes // model.SENSOR_MINUTES
        columns = (
            now,
            # Readings are five minutes apart, so these are 15 minutes and an hour old.
            now - self.readings[-4],
            now - self.readings[0],
            np.where(count > 0, self.read_sum / np.maximum(count, 1), now),
            self.insulin_board.sum(0) * p["CF"],
            self.meal_board.sum(0) * p["CF"] / p["CR"],
            np.sin(hour),
            np.cos(hour),
        )
        return np.stack(columns, 1)

    def treat(self, actions: NDArray, random: np.random.Generator) -> Outcome:
        length = round(60 * self.step_hours)
        readings = length // model.SENSOR_MINUTES
        wishes = np.clip(np.asarray(actions, np.float64), -1, 1)
        prescribed = model.prescribed_basal(self.parameters) / 60
        basal = prescribed * times(wishes[:, 0], MAX_BASAL)
        generous = times(wishes[:, 1], MAX_BOLUS)
        announced = self._announced(length)
        costs = np.zeros(len(basal))
        risk = self.told[self.risk].copy()
        self.given[:] = 0
        for at in range(length):
            self._turn_sensor(random)
            reading = self.readings[-1]
            carbohydrates = announced[at]
            bolus = (carbohydrates > 0) * generous * self._calculated(carbohydrates, reading)
            costs += (bolus > BOLUS_LIMIT) + (reading < LOW) * (basal > 0) / length
            bolus = np.minimum(bolus, BOLUS_LIMIT)
            flow = np.where(reading < LOW, 0, basal) if self.config.suspend else basal
            self._live(carbohydrates, flow + bolus, prescribed)
            self.given += np.stack([carbohydrates, 60 * flow / length, bolus])
            self.insulin += ~self.failed * (flow + bolus)
            if (at + 1) % model.SENSOR_MINUTES == 0:
                self._tell()
        over = self.minutes >= 1_440 * self.config.days
        return Outcome(
            (risk - self.told[self.risk]) / readings, self.failed.copy(), over & ~self.failed, costs
        )

    def allowed(self) -> None:
        return None

    def fallback(self) -> NDArray[np.int64]:
        return np.zeros(len(self.minutes), np.int64)

    def metrics(self) -> dict[str, NDArray[np.float64]]:
        """Times are shares of the readings, in percent; insulin is U a day."""
        readings = np.maximum(
            # There are 288 readings a day; a failure has been counted to the end of the episode.
            np.where(self.failed, 288 * self.config.days, self.minutes / model.SENSOR_MINUTES),
            1,
        )
        shares = self.told / readings
        names = (
            "time_below_54",
            "time_below_70",
            "time_in_range",
            "time_above_180",
            "time_above_250",
        )
        return {name: 100 * share for name, share in zip(names, shares, strict=False)} | {
            "mean_glucose": shares[5],
            "magni_risk": shares[6],
            "kovatchev_risk": shares[7],
            "insulin_per_day": 1_440 * self.insulin / np.maximum(self.minutes, 1),
            "failed": self.failed.astype(np.float64),
        }

    def vitals(self) -> tuple[float, ...]:
        glucose = self._glucose()[:1]
        return (
            float(glucose[0]),
            *(float(given) for given in self.given[:, 0]),
            float(model.magni_risk(glucose)[0]),
        )

    def _glucose(self) -> NDArray[np.float64]:
        """Under the skin, mg/dl (N,)."""
        return self.state[model.SENSED] / self.parameters["Vg"]

    def _announced(self, length: int) -> NDArray[np.float64]:
        """Carbohydrates of the meals that begin in each of the next minutes, g (length, N)."""
        announced = np.zeros((length, len(self.minutes)))
        after = self.meal_times - self.minutes[:, None]
        patients, meals = np.nonzero((after >= 0) & (after < length))
        np.add.at(announced, (after[patients, meals], patients), self.meal_amounts[patients, meals])
        return announced

    def _calculated(
        self, carbohydrates: NDArray[np.float64], reading: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The bolus that was prescribed for a meal, U."""
        correction = np.where(
            reading > CORRECTED_ABOVE, (reading - TARGET) / self.parameters["CF"], 0
        )
        return carbohydrates / self.parameters["CR"] + correction

    def _live(
        self,
        carbohydrates: NDArray[np.float64],
        insulin: NDArray[np.float64],
        prescribed: NDArray[np.float64],
    ) -> None:
        """A minute."""
        planned, before, held = self.eating
        eaten = np.minimum(planned + carbohydrates, model.MAX_EATEN)
        begins = (eaten > 0) & (before == 0)
        held = np.where(begins, self.state[0] + self.state[1], held) + 1_000 * eaten
        self.eating = np.stack([planned + carbohydrates - eaten, eaten, held])
        self.state = model.minute(self.state, eaten, insulin, held, self.parameters)
        # The prescribed basal holds glucose steady; only what differs from it is on board.
        self.insulin_board = decayed(self.insulin_board, insulin - prescribed, INSULIN_MINUTES)
        self.meal_board = decayed(self.meal_board, carbohydrates, MEAL_MINUTES)
        self.minutes += 1

    def _turn_sensor(self, random: np.random.Generator) -> None:
        """The next quarter hour's deviation, where one begins."""
        begins = (self.minutes % model.DRIFT_MINUTES == 0) & (self.minutes > 0)
        if begins.any():
            before, after = self.deviations
            following = model.next_deviation(after, random)
            self.deviations = np.where(
                begins, np.stack([after, following]), np.stack([before, after])
            )

    def _sensed(self) -> NDArray[np.float64]:
        """The sensor's reading; its error goes straight from one quarter hour to the next."""
        share = (self.minutes - 1) % model.DRIFT_MINUTES + 1
        share = np.where(self.minutes > 0, share, 0) / model.DRIFT_MINUTES
        before, after = model.sensor_error(self.deviations)
        error = self.config.sensor_error * ((1 - share) * before + share * after)
        return np.clip(self._glucose() + error, *model.SENSOR_RANGE)

    def _tell(self) -> None:
        """A reading, and what it counts for; of who fails, the rest of the episode."""
        reading = self._sensed()
        glucose = self._glucose()
        self.readings = np.concatenate([self.readings[1:], reading[None]])
        self.read_sum += reading
        fails = ~self.failed & ((glucose < SURVIVED[0]) | (glucose > SURVIVED[1]))
        left = 288 * self.config.days - self.minutes // model.SENSOR_MINUTES
        weight = np.where(self.failed, 0, 1 + fails * left)
        glucose = np.clip(glucose, *SURVIVED)
        self.told += weight * np.stack(
            [
                glucose < 54,
                glucose < 70,
                (glucose >= 70) & (glucose <= 180),
                glucose > 180,
                glucose > 250,
                glucose,
                model.magni_risk(glucose),
                model.kovatchev_risk(glucose),
            ]
        )
        self.failed |= fails


def cohort_table(cohort: Cohort, group: str) -> dict[str, NDArray[np.float64]]:
    """The parameters of a cohort's patients, each (patients,)."""
    table = model.patients()
    names = table.pop("name")
    kinds, numbers = np.array([name.split("#") for name in names]).T
    # Ten patients a group, numbered from 1: the last three are not for training.
    last = numbers.astype(int) > 7
    if cohort == "published":
        chosen = names == "adult#001"
    else:
        chosen = (last == (cohort != "train")) & ((kinds == group) | (group == "all"))
    table = {name: column[chosen] for name, column in table.items()}
    if cohort not in MIDDLE:
        return table
    random = np.random.default_rng(COHORT_SEEDS[cohort])
    table = {name: np.repeat(column, VARIANTS) for name, column in table.items()}
    for name in (*VARYING, *MISJUDGED) if cohort == "train" else VARYING:
        # Beyond two deviations the fastest gut would be too fast for steps of a minute.
        deviations = np.clip(random.standard_normal(len(table[name])), -2, 2)
        table[name] = MIDDLE[cohort] * table[name] * np.exp(VARIATION * deviations)
    return table


def times(wish: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """An action in [-1, 1] as a multiple in [0, most] of what was prescribed, which is 0."""
    return 1 + np.where(wish < 0, wish, (most - 1) * wish)


def wish(multiple: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """The inverse of `times`; what is more or less than can be had becomes what can."""
    return np.clip(np.where(multiple < 1, multiple - 1, (multiple - 1) / (most - 1)), -1, 1)


def decayed(
    compartments: NDArray[np.float64], inflow: NDArray[np.float64], minutes: float
) -> NDArray[np.float64]:
    """Two compartments (2, N), a minute later, of which the first empties into the second."""
    first, second = compartments * (1 - 1 / minutes)
    return np.stack([first + inflow, second + compartments[0] / minutes])


def always_asking(value: float) -> Callable[[Simulation], Policy]:
    """The same for basal insulin and boluses, whatever is read."""
    return lambda simulation: (
        lambda observations, first: np.full((len(observations), 2), value, np.float32)
    )


def low_glucose_suspend(simulation: Simulation) -> Policy:
    """As prescribed, but no basal insulin while the sensor reads, or will in half an hour at this
    pace, below 80 mg/dl (as pumps do; Maahs et al. 2014)."""

    def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray:
        seen = read(simulation.names, observations)
        ahead = seen["sensor, mg/dl"] + np.minimum(2 * seen["change in 15 min, mg/dl"], 0)
        return np.stack([np.where(ahead < 80, -1.0, 0.0), np.zeros(len(ahead))], 1).astype(
            np.float32
        )

    return policy


def pid(simulation: Simulation) -> Policy:
    """Basal insulin by proportion, integral and derivative of the sensor's distance from 120 mg/dl,
    less what insulin on board is to do yet; boluses as prescribed (a hybrid closed loop; Steil
    2013)."""
    integral = np.zeros(0)

    def policy(observations: NDArray, first: NDArray[np.bool_]) -> NDArray:
        nonlocal integral
        seen = read(simulation.names, observations)
        distance = seen["sensor, mg/dl"] - 120
        integral = np.where(first, 0, integral if len(integral) == len(first) else 0)
        # The integral is kept within what the pump can give.
        integral = np.clip(integral + 0.0005 * distance * simulation.step_hours * 60, -0.5, 1.0)
        due = seen["insulin on board, mg/dl"] - seen["carbohydrates on board, mg/dl"]
        multiple = (
            1
            + 0.02 * distance
            + integral
            + 0.02 * seen["change in 15 min, mg/dl"]
            - 0.01 * np.maximum(due, 0)
        )
        return np.stack([wish(multiple, MAX_BASAL), np.zeros(len(distance))], 1).astype(np.float32)

    return policy
