"""What an hour of this machine buys: python benchmarks/an_hour.py --candidates ppo pqn --seeds 1 2 3

Each candidate trains by the real command, alone on the machine, for so many minutes by the clock,
its start included. The checkpoints that are there after each of `minutes` are then evaluated over
whole games. A candidate's env steps are chosen so that its learning rate has fallen to the end when
the time is over; a run that reaches them earlier stops, and one that does not is told of.
"""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agents.checkpoint import finished_checkpoints
from common.files import read_json, write_json
from common.provenance import made_by

CANDIDATES: dict[str, tuple[str, ...]] = {
    "ppo": ("--algo", "ppo"),
    "ppo-impala": ("--algo", "ppo", "--encoder", "impala"),
    "dqn": ("--algo", "dqn"),
    "rainbow": ("--algo", "rainbow"),
    "btr": ("--algo", "btr"),
    "pqn": ("--algo", "pqn"),
    "data-efficient": ("--algo", "data-efficient"),
}
SAVE_SECONDS = 600


@dataclass(frozen=True)
class Settings:
    """What is trained, and where the result goes."""

    candidates: tuple[str, ...] = tuple(CANDIDATES)
    """Names in CANDIDATES."""
    total_env_steps: tuple[int, ...] = ()
    """Env steps of each candidate; none: 1,000,000 for all."""
    env: str = "SpaceInvaders"
    """The environment."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds to train with."""
    minutes: tuple[float, ...] = (30.0, 60.0)
    """When checkpoints are taken, in rising order; the last ends the run."""
    episodes: int = 30
    """Whole games an evaluation."""
    extra: tuple[str, ...] = ()
    """Further options of train_agent.py, such as --env.repeat-action-probability=0.25."""
    runs: Path = ROOT / "benchmarks" / "runs" / "an-hour"
    """Where the run folders lie; what is there already is not trained again."""
    output: Path = ROOT / "benchmarks" / "results" / "learning" / "an-hour.json"
    """The result."""


def main(settings: Settings) -> None:
    steps = settings.total_env_steps or (1_000_000,) * len(settings.candidates)
    rows: list[dict[str, Any]] = []
    for seed in settings.seeds:
        for candidate, total in zip(settings.candidates, steps, strict=True):
            run = settings.runs / f"{settings.env}-{candidate}-seed{seed}"
            if not run.exists():
                train(settings, candidate, total, seed, run)
            for minutes in settings.minutes:
                result = evaluated(settings, run, minutes)
                rows.append({"candidate": candidate, "seed": seed, "minutes": minutes} | result)
                print(
                    f"{candidate:16} seed {seed}  {minutes:4g} minutes  "
                    f"{result['env_steps']:9,} env steps  mean {result['mean']:.1f}",
                    flush=True,
                )
    write_json(
        settings.output,
        {
            "command": " ".join(["python", "benchmarks/an_hour.py", *sys.argv[1:]]),
            "rows": rows,
            "made_by": made_by(),
        },
    )


def train(settings: Settings, candidate: str, total: int, seed: int, run: Path) -> None:
    """Trains until the last of `minutes`; copies what is there at each of them."""
    command = [
        *(sys.executable, str(ROOT / "scripts" / "train_agent.py"), "--env", settings.env),
        *CANDIDATES[candidate],
        *settings.extra,
        *("--total-env-steps", str(total), "--seed", str(seed), "--run-dir", str(run)),
        *("--evaluate-every-env-steps", "0", "--checkpoint-every-env-steps", "20000"),
    ]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    for minutes in settings.minutes:
        rest = started + 60 * minutes - time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, rest))
        if minutes == settings.minutes[-1] and process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(SAVE_SECONDS)
        keep(run, minutes)


def keep(run: Path, minutes: float) -> None:
    """Copies the run with its newest checkpoint alone, so that no later one takes its place."""
    kept = at_minutes(run, minutes)
    checkpoint = finished_checkpoints(run / "checkpoints")[0]
    shutil.copytree(checkpoint, kept / "checkpoints" / checkpoint.name)
    for name in ("experiment.json", "progress.jsonl"):
        shutil.copy(run / name, kept)


def at_minutes(run: Path, minutes: float) -> Path:
    return run.with_name(f"{run.name}-after-{minutes:g}-minutes")


def evaluated(settings: Settings, run: Path, minutes: float) -> dict[str, Any]:
    """The score after so many minutes, over whole games."""
    kept = at_minutes(run, minutes)
    if not (kept / "evaluation.json").exists():
        command = [sys.executable, str(ROOT / "scripts" / "evaluate_agent.py"), str(kept)]
        subprocess.run(
            [*command, "--episodes", str(settings.episodes), "--seed", "5000000"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    result = read_json(kept / "evaluation.json")
    env_steps = int(result["checkpoint"].removeprefix("step-"))
    return {
        "env_steps": env_steps,
        "mean": result["mean"],
        "iqm": result["iqm"],
        "returns": result["returns"],
    }


if __name__ == "__main__":
    main(tyro.cli(Settings))
