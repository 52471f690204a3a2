"""How fast two trainings run that share a machine, by how their threads wait: python
benchmarks/side_by_side.py

Each round trains once for each row of the table, one run alone or two at once, in turn. The speed
of a run is its median of env steps a second over the iterations of the measured time.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agents.monitoring.metrics import read_progress
from common.files import write_json
from common.provenance import made_by

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "as it is": {},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
}


@dataclass(frozen=True)
class Settings:
    """What is trained, how long, and where the result goes."""

    env: str = "SpaceInvaders"
    """The environment that PPO trains on."""
    rounds: int = 3
    """Repetitions of the whole table."""
    warm_up_seconds: float = 45.0
    """Time before measuring: a run looks every 30 s whether it shares the machine."""
    seconds: float = 45.0
    """Measured time."""
    output: Path = ROOT / "benchmarks" / "results" / "speed" / "side-by-side.json"
    """The result."""


def main(settings: Settings) -> None:
    rows = [(runs, name) for runs in (1, 2) for name in ENVIRONMENTS]
    speeds: dict[str, list[float]] = {f"{runs} run(s), {name}": [] for runs, name in rows}
    for _ in range(settings.rounds):
        for runs, name in rows:
            measured = env_steps_a_second(runs, ENVIRONMENTS[name], settings)
            speeds[f"{runs} run(s), {name}"].extend(measured)
            print(f"{runs} run(s), {name:20}", *(f"{speed:8.0f}" for speed in measured), flush=True)
    result = {
        "command": " ".join(["python", "benchmarks/side_by_side.py", *sys.argv[1:]]),
        "env_steps_a_second_of_each_run": {
            name: {
                "median": round(statistics.median(values)),
                "least": round(min(values)),
                "most": round(max(values)),
            }
            for name, values in speeds.items()
        },
        "made_by": made_by(),
    }
    write_json(settings.output, result)


def env_steps_a_second(runs: int, variables: dict[str, str], settings: Settings) -> list[float]:
    """The speed of each of some trainings that run at once."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(runs)]
        processes = [start(path, variables, settings.env) for path in paths]
        try:
            while not all((path / "progress.jsonl").exists() for path in paths):
                time.sleep(0.5)
            time.sleep(settings.warm_up_seconds)
            before = [len(list(read_progress(path / "progress.jsonl"))) for path in paths]
            time.sleep(settings.seconds)
            lines = [list(read_progress(path / "progress.jsonl")) for path in paths]
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
    return [
        statistics.median(line["speed/env_steps_per_second"] for line in of_run[first:])
        for of_run, first in zip(lines, before, strict=True)
    ]


def start(run: Path, variables: dict[str, str], env: str) -> subprocess.Popen:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "train_agent.py"),
        "--env",
        env,
        "--run-dir",
        str(run),
    ]
    length = ["--total-env-steps", "100000000", "--evaluate-every-env-steps", "0"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, *length], env=os.environ | variables, **quiet)


if __name__ == "__main__":
    main(tyro.cli(Settings))
