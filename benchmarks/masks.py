"""What a mask of actions is worth: python benchmarks/masks.py

Each case trains by the real command with the mask, without it, and where the environment can, with
the mask among the readings and a charge for every action that is not possible; then it plays whole
episodes. All learn from as many env steps.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from common.files import read_json, write_json
from common.provenance import made_by

CASES: dict[str, tuple[str, ...]] = {
    "Taxi by ppo": ("--env", "Taxi-v3", "--algo", "ppo", "--total-env-steps", "102400"),
    "Taxi by dqn": ("--env", "Taxi-v3", "--algo", "dqn", "--total-env-steps", "30000"),
    "sepsis-icu": ("--env", "sepsis-icu", "--env.cohort", "train", "--total-env-steps", "2048000"),
}
WAYS: dict[str, dict[str, tuple[str, ...]]] = {
    "Taxi by ppo": {"masked": (), "unmasked": ("--env.no-action-mask",)},
    "Taxi by dqn": {"masked": (), "unmasked": ("--env.no-action-mask",)},
    "sepsis-icu": {
        "masked": (),
        "unmasked": ("--env.no-action-mask",),
        "shown and charged": (
            "--env.no-action-mask",
            "--env.show-admissible",
            "--env.cost-weight=0.05",
        ),
    },
}
EVALUATION: dict[str, tuple[str, ...]] = {
    "sepsis-icu": ("--env.cohort=held-out", "--env.cost-weight=0", "--episodes=2000"),
}


@dataclass(frozen=True)
class Settings:
    """What is trained, and where the result goes."""

    cases: tuple[str, ...] = tuple(CASES)
    """Names in CASES."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds to train with."""
    runs: Path = ROOT / "benchmarks" / "runs" / "masks"
    """Where the run folders lie; what is there already is not trained again."""
    output: Path = ROOT / "benchmarks" / "results" / "learning" / "masks.json"
    """The result."""


def main(settings: Settings) -> None:
    told: dict[str, dict[str, dict[str, object]]] = {}
    for case in settings.cases:
        for way, options in WAYS[case].items():
            means = [played(settings, case, way, options, seed) for seed in settings.seeds]
            told.setdefault(case, {})[way] = {
                "by_seed": means,
                "mean": float(np.mean(means)),
                "env_steps": int(CASES[case][-1]),
            }
            print(f"{case:12} {way:18} {np.mean(means):8.3f}  {means}", flush=True)
    command = " ".join(["python benchmarks/masks.py", *sys.argv[1:]])
    write_json(settings.output, {"command": command, "returns": told, "made_by": made_by()})


def played(settings: Settings, case: str, way: str, options: tuple[str, ...], seed: int) -> float:
    """The mean return of a training's last policy, which is trained first if it is not there."""
    run = settings.runs / f"{case}-{way}-{seed}".replace(" ", "-")
    if not run.exists():
        fixed = (f"--seed={seed}", f"--run-dir={run}", "--evaluate-every-env-steps=0")
        script("train_agent.py", *CASES[case], *options, *fixed)
    script("evaluate_agent.py", str(run), *EVALUATION.get(case, ("--episodes=200",)))
    changed = run / "evaluation-changed-env.json"
    return read_json(changed if case in EVALUATION else run / "evaluation.json")["mean"]


def script(name: str, *arguments: str) -> None:
    """Runs one of the commands. Raises where it fails."""
    command = [sys.executable, str(ROOT / "scripts" / name), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main(tyro.cli(Settings))
