"""How long commands take to say what help or a mistake is, and how much memory: python benchmarks/startup.py

Each command runs several times, in turn with the others, in a process of its own. Processor time, wall time and the
largest resident memory are the process's own, as the operating system counts them; medians are reported.
"""

import json
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

COMMANDS: dict[str, tuple[str, ...]] = {
    "train_agent --help": ("train_agent.py", "--help"),
    "train_agent, a misspelt option": ("train_agent.py", "--learning-rate", "1"),
    "train_agent, a misspelt name": ("train_agent.py", "--env", "SpaceInvader"),
    "tune_agent --help": ("tune_agent.py", "--help"),
    "evaluate_agent --help": ("evaluate_agent.py", "--help"),
    "record_agent --help": ("record_agent.py", "--help"),
    "report_policy --help": ("report_policy.py", "--help"),
    "estimate_policy --help": ("estimate_policy.py", "--help"),
    "train_module --help": ("train_module.py", "--help"),
    "translate --help": ("translate.py", "--help"),
}


@dataclass(frozen=True)
class Settings:
    """What is measured, and where the result goes."""

    repetitions: int = 5
    """Runs of each command."""
    checkout: Path = ROOT
    """The repository whose commands run; another one to compare with."""
    output: Path = ROOT / "benchmarks" / "results" / "startup.json"
    """The result."""


def main(settings: Settings) -> None:
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(settings.repetitions):
        for name, (script, *arguments) in COMMANDS.items():
            runs[name].append(measured([sys.executable, str(settings.checkout / "scripts" / script), *arguments]))
    table = {}
    for name, rows in runs.items():
        cpu, wall, mib = (statistics.median(column) for column in zip(*rows, strict=True))
        table[name] = {"cpu_seconds": round(cpu, 2), "wall_seconds": round(wall, 2), "mib": round(mib)}
        print(f"{name:32} {cpu:6.2f} s processor  {wall:6.2f} s wall  {mib:6.0f} MiB")

    # A child's largest memory counts its parent's at its birth, so this process imports torch last.
    from agents.checkpoint import write_durably
    from agents.run_folder import made_by

    result = {
        "command": f"python benchmarks/startup.py --repetitions {settings.repetitions}",
        "repetitions": settings.repetitions,
        "medians": table,
        "made_by": made_by(),
    }
    write_durably(settings.output, json.dumps(result, indent=2).encode())


def measured(command: list[str]) -> tuple[float, float, float]:
    """Processor seconds, wall seconds and MiB of a command that ends with 0 or 2."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) not in (0, 2):
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}.")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main(tyro.cli(Settings))
