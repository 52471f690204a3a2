"""Processor time and memory of help and typing mistakes, and the time to a command's first word:

    python benchmarks/startup.py --before ../praxis-before

Each command runs several times, in turn with the others and with those of another checkout, in a
process of its own. Processor time and the largest resident memory are the process's own, as the
operating system counts them. The first word is whatever comes first on standard output or error;
the clock on the wall says when. This repository's bytecode is neither read nor written, as in the
first use of a checkout.
"""

import os
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

SCRIPTS = sorted(
    path.stem for path in (ROOT / "scripts").glob("*.py") if path.stem not in ("__init__", "cli")
)
MISTAKES = (
    "train_agent --learning-rate 1",
    "train_agent --env SpaceInvader",
    "train_agent --env Pong --algo dqn --learning-rate 1",
    "train_agent --env CartPole-v1 --learning-rate 1",
    "train_agent --env sepsis-icu --learning-rate 1",
    "train_agent --algo pp",
    "tune_agent --trial 3",
    "evaluate_agent run --checkpoint newest",
    "record_agent run --seed -1",
    "translate --tex word",
)
QUICK = (*(f"{script} --help" for script in SCRIPTS), *MISTAKES)
WORKING = (
    "train_agent --env CartPole-v1 --total-env-steps 2000",
    "evaluate_agent run",
    "record_agent run",
)
RUN = "train_agent --env CartPole-v1 --total-env-steps 2000 --evaluate-every-env-steps 0 --run-dir run"
"""Makes the run that commands are about."""
ENVIRONMENT = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
PATIENCE_SECONDS = 120.0

Measures = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """What is measured, and where the result goes."""

    repetitions: int = 5
    """Runs of each command."""
    before: Path | None = None
    """Another checkout, to compare with."""
    output: Path = ROOT / "benchmarks" / "results" / "startup" / "startup.json"
    """The result."""


def main(settings: Settings) -> None:
    checkouts = (
        {"now": ROOT}
        if settings.before is None
        else {"before": settings.before.resolve(), "now": ROOT}
    )
    runs: dict[tuple[str, str], list[Measures]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run(command(ROOT, RUN), cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for _ in range(settings.repetitions):
            for line in QUICK:
                for side, checkout in checkouts.items():
                    runs.setdefault((line, side), []).append(ended(command(checkout, line), folder))
            for line in WORKING:
                for side, checkout in checkouts.items():
                    runs.setdefault((line, side), []).append(
                        first_word(command(checkout, line), folder)
                    )
    table: dict[str, dict[str, Any]] = {}
    for (line, side), rows in runs.items():
        measures = summary(rows)
        table.setdefault(line, {})[side] = measures
        medians = ", ".join(f"{values['median']:.2f} {name}" for name, values in measures.items())
        print(f"{line:60} {side:6} {medians}")

    # A child's largest memory counts its parent's at its birth, so this process imports torch last.
    from common.files import write_json
    from common.provenance import made_by

    result = {
        "command": f"python benchmarks/startup.py --repetitions {settings.repetitions}",
        "repetitions": settings.repetitions,
        "load_average": os.getloadavg(),
        "before": commit(settings.before) if settings.before else None,
        "commands": table,
        "made_by": made_by(),
    }
    write_json(settings.output, result)


def command(checkout: Path, line: str) -> list[str]:
    script, *arguments = line.split()
    return [sys.executable, str(checkout / "scripts" / f"{script}.py"), *arguments]


def ended(command: list[str], folder: Path) -> Measures:
    """What a command takes that ends with help or with a mistake."""
    process = subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 2):
        raise RuntimeError(f"{' '.join(command)} ended with {code}.")
    return {"processor_seconds": usage.ru_utime + usage.ru_stime, "mib": usage.ru_maxrss / 1024}


def first_word(command: list[str], folder: Path) -> Measures:
    """Seconds until a command says something; it is asked to end then."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        spoke = bool(waiting.select(PATIENCE_SECONDS))
    seconds = time.perf_counter() - started
    process.terminate()
    process.communicate(timeout=PATIENCE_SECONDS)
    if not spoke:
        raise RuntimeError(f"{' '.join(command)} said nothing within {PATIENCE_SECONDS:.0f} s.")
    return {"seconds_to_first_word": seconds}


def summary(rows: list[Measures]) -> dict[str, dict[str, float]]:
    """Median, least and most of each measure, by its name."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: {
            "median": round(statistics.median(column), 2),
            "least": round(min(column), 2),
            "most": round(max(column), 2),
        }
        for name, column in columns.items()
    }


def commit(checkout: Path) -> str:
    described = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    return subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main(tyro.cli(Settings))
