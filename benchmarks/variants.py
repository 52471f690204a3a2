"""What clinicians' rules, and agents, come to as one setting of a treatment varies: worlds, groups,
genotypes.

python benchmarks/variants.py care-episode --setting structure_seed --values 1 2 3 4 5 6 7 8
python benchmarks/variants.py glucose-t1d --setting group --values all adult adolescent child --runs runs/RUN ...
                                                                       # results/treatments/variants-NAME.json
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import tyro
from speed import surroundings

from agents.evaluation.clinical import Make, compared
from agents.evaluation.evaluate import load_chosen
from agents.evaluation.policies import trained_policy
from agents.logged.episodes import play
from envs.health import TREATMENTS
from envs.health.core.cohorts import Cohort
from scripts.cli import load_experiment
from scripts.report_policy import treating


def main(
    treatment: Annotated[str, tyro.conf.Positional],
    setting: str,
    values: tuple[str, ...],
    runs: tuple[Path, ...] = (),
    cohort: Cohort = "held-out",
    deterministic: bool = False,
    episodes: int = 1_000,
) -> None:
    """Plays every baseline, and trainings of one agent, with the same patients.

    Args:
        treatment: Its name.
        setting: Of its configuration, what varies.
        values: Of the setting, each in turn.
        runs: Folders of trainings of one agent, that differ in their seeds.
        cohort: Of whom.
        deterministic: Take the agent's likeliest action instead of drawing from it.
        episodes: Patients of each policy.
    """
    told: dict[str, Any] = {
        "command": " ".join(["python benchmarks/variants.py", *sys.argv[1:]]),
        **surroundings(),
    }
    trained = [agent(run, deterministic) for run in runs]
    config = load_experiment(runs[0]).env if runs else TREATMENTS[treatment]()
    kind = type(getattr(config, setting))
    told["cohort"] = cohort
    told["setting"] = setting
    told["variants"] = {}
    for value in values:
        varied: Any = replace(config, cohort=cohort, cost_weight=0.0, **{setting: kind(value)})  # pyright: ignore
        makes = {name: [treating(made)] for name, made in varied.baselines().items()}
        makes |= {"agent": trained} if trained else {}
        played = {
            name: [play(varied, make, episodes, seed=1) for make in each]
            for name, each in makes.items()
        }
        told["variants"][value] = compared(played, "agent" if trained else varied.usual_care)
        returns = {
            name: round(one["return"]["mean"], 2) for name, one in told["variants"][value].items()
        }
        print(value, returns, flush=True)
    output = ROOT / "benchmarks" / "results" / "treatments" / f"variants-{treatment}.json"
    output.write_text(json.dumps(told, indent=1) + "\n")


def agent(run: Path, deterministic: bool) -> Make:
    network, _ = load_chosen(load_experiment(run), run, "latest")
    return lambda env: trained_policy(network, deterministic=deterministic)


if __name__ == "__main__":
    tyro.cli(main)
