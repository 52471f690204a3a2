"""Agents of epidemic-npi beside 112 rules on two scales, deaths and GDP: which rule is worse on
both than an agent.

python benchmarks/epidemic_front.py runs/RUN ...                       #
results/treatments/epidemic-front.json
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import tyro
from speed import surroundings
from variants import agent

from agents.evaluation.clinical import Make
from agents.logged.episodes import play
from common.policy import Policy
from envs.health.core.simulation import Simulation
from envs.health.epidemic.env import EpidemicConfig, cycle, incidence, intensive_care, threshold
from scripts.cli import load_experiment
from scripts.report_policy import treating

SCALES = ("deaths_per_100k", "gdp_loss_percent")


def main(runs: Annotated[tuple[Path, ...], tyro.conf.Positional], regions: int = 200) -> None:
    """Plays all on regions of the held-out cohort.

    Args:
        runs: Trainings, which may weigh deaths and GDP differently.
        regions: Epidemics of each.
    """
    told: dict[str, Any] = {
        "command": " ".join(["python benchmarks/epidemic_front.py", *sys.argv[1:]])
    }
    config = load_experiment(runs[0]).env
    assert isinstance(config, EpidemicConfig)
    config = replace(config, cohort="held-out")

    def worth(make: Make) -> list[float]:
        episodes = play(config, make, regions, seed=0)
        return [float(episodes.metrics[scale].mean()) for scale in SCALES]

    agents = {run.name: worth(agent(run, deterministic=False)) for run in runs}
    rules = {
        name: worth(treating(made)) for name, made in (config.baselines() | families()).items()
    }
    dominated = {
        name: [run for run, theirs in agents.items() if theirs[0] < own[0] and theirs[1] < own[1]]
        for name, own in rules.items()
    }
    told |= surroundings() | {
        "scales": SCALES,
        "agents": agents,
        "rules": rules,
        "dominated_by": dominated,
    }
    output = ROOT / "benchmarks" / "results" / "treatments" / "epidemic-front.json"
    output.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(agents, indent=1))
    print(
        f"{sum(map(bool, dominated.values()))} of {len(rules)} rules are worse on both scales than "
        "an agent; not:"
    )
    for name in (name for name, by in dominated.items() if not by):
        print(f"  {name}: {rules[name][0]:.1f} dead, {rules[name][1]:.1f} %")


def families() -> dict[str, Callable[[Simulation], Policy]]:
    """Lockdowns by cases, by beds and by the calendar."""
    rules = {}
    for above in (1, 3, 10, 30, 100, 300):
        for share in (1, 0.3, 0.1):
            rules[f"lockdown above {above} cases until {above * share:g}"] = threshold(
                incidence, above, above * share
            )
    for above in (0.03, 0.1, 0.3, 0.6, 1.0):
        for share in (1, 0.5, 0.1):
            until = above * share
            rules[f"lockdown above {above:g} of the beds until {until:g}"] = threshold(
                intensive_care, above, until
            )
    for on in range(1, 9):
        for off in range(1, 9):
            rules[f"cycle of {on} on, {off} off"] = cycle(on, off)
    return rules


if __name__ == "__main__":
    tyro.cli(main)
