"""Our glucose beside simglucose's, in one run:

    pip install --target runs/simglucose --no-deps simglucose==0.2.11
    python benchmarks/glucose.py runs/simglucose

Needs pandas and matplotlib; of simglucose's own dependencies neither gym nor pkg_resources. Tells

- how far our glucose is from its patient's, at equal meals and insulin, and its values for tests/envs/health;
- time in range of a day with basal-bolus, by its whole loop and by ours with the same meals;
- patients' minutes simulated a second, by its patient and its whole loop, and by our environment with 1 and 4,096.
"""

import json
import logging
import sys
import types
import warnings
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from envs.health.glucose import model
from envs.health.glucose.env import GlucoseConfig, GlucoseSimulation

COMPARED = ("adult#001", "adolescent#005", "child#008")
PUBLISHED_DAYS = {"adult#001": 88.1, "adolescent#001": 100.0, "child#001": 73.8}
"""Time in range of one day, %, by simglucose's loop, its meals and sensor errors by chance."""
OURS_AT_ONCE = 200


def main(
    simglucose: Annotated[Path, tyro.conf.Positional],
    days: int = 3,
    rounds: int = 3,
    output: Path = ROOT / "benchmarks" / "results" / "treatments" / "glucose.json",
) -> None:
    """Compares, then measures.

    Args:
        simglucose: Where it was installed.
        days: Of each patient with basal-bolus, by simglucose's loop.
        rounds: Of speed, interleaved.
        output: The numbers.
    """
    without_dependencies(simglucose)
    result = {
        "body": bodies(),
        "basal_bolus": [day(name, seed) for name in PUBLISHED_DAYS for seed in range(days)],
    }
    result["speed"] = [speed() for _ in range(rounds)]
    for part in result.values():
        print(json.dumps(part, indent=1))
    output.write_text(json.dumps(result, indent=1) + "\n")


def without_dependencies(folder: Path) -> None:
    """The package's own start wants gym, and its tables pkg_resources, which new Pythons do not
    have."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    resources: Any = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda package, path: str(folder / package / path)
    package: Any = types.ModuleType("simglucose")
    package.__path__ = [str(folder / "simglucose")]
    sys.modules |= {"pkg_resources": resources, "simglucose": package}


def bodies() -> dict[str, dict[str, Any]]:
    """Twelve hours with a meal and 4 U at minute 60, no insulin from 300 to 420, and another meal
    then."""
    from simglucose.patient.t1dpatient import Action, T1DPatient  # pyright: ignore

    told = {}
    for name in COMPARED:
        made = ours(name, 1)
        basal = model.prescribed_basal(made.parameters) / 60
        theirs = T1DPatient.withName(name)
        glucose = []
        for minute in range(720):
            carbohydrates = {60: 60, 420: 30}.get(minute, 0)
            insulin = basal * (not 300 <= minute < 420)
            insulin = insulin + 4.0 * (minute == 60)
            theirs.step(Action(CHO=carbohydrates, insulin=insulin[0]))
            made._live(np.array([float(carbohydrates)]), insulin, basal)
            glucose.append((theirs.observation.Gsub, made._glucose()[0]))
        both = np.array(glucose)
        apart = float(np.abs(both[:, 0] - both[:, 1]).max())
        told[name] = {
            "most_apart_mg_dl": apart,
            "every_two_hours": both[119::120, 0].round(6).tolist(),
        }
    return told


def ours(name: str, patients: int) -> GlucoseSimulation:
    """So many of one virtual patient, in the steady state, at midnight."""
    simulation = GlucoseSimulation(GlucoseConfig(cohort="published", days=1), patients)
    table = model.patients()
    row = [list(table.pop("name")).index(name)]
    simulation.table = {key: column[row] for key, column in table.items()}
    simulation.admit(np.arange(patients), np.random.default_rng(0))
    return simulation


def day(name: str, seed: int) -> dict[str, Any]:
    """With basal-bolus, by its loop; and by ours with its meals and many draws of our sensor."""
    from simglucose.controller.basal_bolus_ctrller import BBController  # pyright: ignore

    loop = whole_loop(name, seed)
    controller = BBController()
    step = loop.reset()
    meals = {"time": [], "amount": []}
    started = perf_counter()
    for _ in range(480):
        decided = controller.policy(
            step.observation,
            step.reward,
            step.done,
            sample_time=3.0,
            patient_name=name,
            meal=step.info["meal"],
        )
        step = loop.step(decided)
        meals = loop.scenario.scenario["meal"] if loop.time.day == 1 else meals
        if step.done:
            break
    seconds = perf_counter() - started
    glucose = np.array(loop.BG_hist[1:])
    simulation = ours(name, OURS_AT_ONCE)
    random = np.random.default_rng(seed)
    simulation.meal_amounts[:] = 0
    count = len(meals["time"])
    simulation.meal_times[:, :count] = meals["time"]
    simulation.meal_amounts[:, :count] = meals["amount"]
    for _ in range(48):
        simulation.treat(np.zeros((OURS_AT_ONCE, 2)), random)
    mine = simulation.metrics()["time_in_range"]
    return {
        "patient": name,
        "seed": seed,
        "simglucose": round(100 * float(((glucose >= 70) & (glucose <= 180)).mean()), 1),
        "ours": [
            round(float(mine.mean()), 1),
            round(float(mine.min()), 1),
            round(float(mine.max()), 1),
        ],
        "meals_g": [int(amount) for amount in meals["amount"]],
        "simglucose_seconds": round(seconds, 1),
    }


def whole_loop(name: str, seed: int) -> Any:
    from simglucose.actuator.pump import InsulinPump  # pyright: ignore
    from simglucose.patient.t1dpatient import T1DPatient  # pyright: ignore
    from simglucose.sensor.cgm import CGMSensor  # pyright: ignore
    from simglucose.simulation.env import T1DSimEnv  # pyright: ignore
    from simglucose.simulation.scenario_gen import RandomScenario  # pyright: ignore

    return T1DSimEnv(
        T1DPatient.withName(name),
        CGMSensor.withName("Dexcom", seed=seed),
        InsulinPump.withName("Insulet"),
        RandomScenario(start_time=datetime(2018, 1, 1), seed=seed),
    )


def speed() -> dict[str, float]:
    """Patients' minutes a second."""
    from simglucose.controller.base import Action as Dose  # pyright: ignore
    from simglucose.patient.t1dpatient import Action, T1DPatient  # pyright: ignore

    patient = T1DPatient.withName("adult#001")
    told = {}
    started = perf_counter()
    for minute in range(360):
        patient.step(Action(CHO=50 * (minute == 60), insulin=0.02))
    told["simglucose, its patient"] = 360 / (perf_counter() - started)
    loop = whole_loop("adult#001", 0)
    loop.reset()
    started = perf_counter()
    for _ in range(120):
        loop.step(Dose(basal=0.02, bolus=0))
    told["simglucose, its loop"] = 360 / (perf_counter() - started)
    for number, steps in ((1, 48), (4_096, 20)):
        env = GlucoseConfig().build_vector(number)
        env.reset(seed=0)
        env.action_space.seed(0)
        started = perf_counter()
        for _ in range(steps):
            env.step(env.action_space.sample())
        told[f"ours, {number}"] = 30 * steps * number / (perf_counter() - started)
    return {name: round(value, 1) for name, value in told.items()}


if __name__ == "__main__":
    tyro.cli(main)
