"""How many patients a second each treatment simulates, and what clinicians' rules are worth.

python benchmarks/treatments.py                                        #
results/treatments/speed-and-rules.json
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import tyro
from speed import surroundings

from agents.evaluation.clinical import compared
from agents.logged.episodes import play
from envs.health import TREATMENTS
from envs.health.core.treatment import TreatmentConfig
from scripts.report_policy import treating


def main(
    patients: int = 4_096,
    steps: int = 12,
    times: int = 5,
    episodes: int = 1_000,
    cohort: str = "",
    only: tuple[str, ...] = tuple(TREATMENTS),
    output: Path = ROOT / "benchmarks" / "results" / "treatments" / "speed-and-rules.json",
) -> None:
    """Plays every baseline of every treatment.

    Args:
        patients: At once, for the speed.
        steps: Of each, for the speed.
        times: How often the speed is measured.
        episodes: Patients of each baseline.
        cohort: Of whom; empty for the environment's default.
        only: Treatments.
        output: What was measured.
    """
    told: dict[str, Any] = {
        "command": " ".join(["python benchmarks/treatments.py", *sys.argv[1:]]),
        **surroundings(),
    }
    told["treatments"] = {}
    for slug in only:
        config = TREATMENTS[slug]()
        if cohort:
            config = replace(config, cohort=cohort)  # pyright: ignore
        makes = {name: treating(made) for name, made in config.baselines().items()}
        played = {name: [play(config, make, episodes, seed=1)] for name, make in makes.items()}
        told["treatments"][slug] = {
            "cohort": config.cohort,
            "step_hours": config.simulation(1).step_hours,
            "patient_steps_per_second": speed(config, patients, steps, times),
            "baselines": compared(played, config.usual_care),
        }
        output.write_text(json.dumps(told, indent=1) + "\n")
        print(slug, told["treatments"][slug]["patient_steps_per_second"]["median"], flush=True)


def speed(config: TreatmentConfig, patients: int, steps: int, times: int) -> dict[str, float]:
    """Steps of single patients a second, with actions by chance."""
    env = config.build_vector(patients)
    env.reset(seed=0)
    env.action_space.seed(0)
    found = []
    for _ in range(times):
        actions = [env.action_space.sample() for _ in range(steps)]
        started = perf_counter()
        for action in actions:
            env.step(action)
        found.append(patients * steps / (perf_counter() - started))
    low = np.min(found)
    high = np.max(found)
    return {
        "median": median(found),
        "lowest": float(low),
        "highest": float(high),
        "patients": patients,
    }


if __name__ == "__main__":
    tyro.cli(main)
