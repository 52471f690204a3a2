"""What agents of sepsis-icu survive, exactly: by dynamic programming over what they do in each of
its states.

python benchmarks/exact_survival.py runs/RUN ...                       #
results/treatments/exact-survival.json
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
import tyro
from speed import surroundings

from agents.evaluation.evaluate import load_chosen
from agents.evaluation.policies import trained_policy
from agents.networks.packing import Packing
from common.info import ACTION_MASK
from envs.health.core.tabular import expected_return, optimal_policy, visits
from envs.health.sepsis_icu import ACTIONS, STATES, SepsisConfig, readings, tables
from envs.masks import OBSERVATION
from scripts.cli import load_experiment

COHORTS = ("published", "train", "held-out", "shifted")


def main(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    output: Path = ROOT / "benchmarks" / "results" / "treatments" / "exact-survival.json",
) -> None:
    """Reads the newest checkpoint of each run."""
    told: dict[str, Any] = {
        "command": " ".join(["python benchmarks/exact_survival.py", *sys.argv[1:]])
    }
    told |= surroundings()
    by_chance = np.full((STATES, ACTIONS), 1 / ACTIONS)
    best = optimal_policy(
        SepsisConfig().model(), allowed=tables().admissible | ~tables().admissible.any(1)[:, None]
    )
    policies = {"random": by_chance, "clinicians": tables().clinicians, "optimal": best}
    for run in runs:
        experiment = load_experiment(run)
        assert isinstance(experiment.env, SepsisConfig)
        seen = readings(experiment.env.observed, experiment.env.show_admissible)
        if experiment.env.action_mask:
            mask = tables().admissible.astype(np.float32)
            seen = {OBSERVATION: seen, ACTION_MASK: mask}
        network, checkpoint = load_chosen(experiment, run, "latest")
        for deterministic, how in ((False, "drawn"), (True, "likeliest")):
            policy = trained_policy(network, deterministic=deterministic)
            policies[f"{run.name}, {checkpoint.name}, {how}"] = policy(
                Packing(network.observation_space).pack(seen), np.ones(STATES, np.bool_)
            )
    told["survival"] = {
        name: {cohort: exact(policy, cohort) for cohort in COHORTS}
        | {"inadmissible": inadmissible(policy)}
        for name, policy in policies.items()
    }
    output.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told["survival"], indent=1))


def exact(policy: np.ndarray, cohort: Any) -> float:
    return expected_return(replace(SepsisConfig(), cohort=cohort).model(), policy)


def inadmissible(policy: np.ndarray) -> float:
    """Actions a stay that are not admissible."""
    wrong = (policy * ~tables().admissible).sum(1) * tables().admissible.any(1)
    return float(visits(SepsisConfig().model(), policy) @ wrong)


if __name__ == "__main__":
    tyro.cli(main)
