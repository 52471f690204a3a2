"""How fast this checkout trains beside another one: python benchmarks/before_after.py
../praxis-before

Both sides run the same contender on this machine, in turn, each in a process of its own; they take
turns in going first. Make the other checkout with `git worktree add --detach ../praxis-before
COMMIT` and give it the same environment.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from common.files import write_json
from common.provenance import made_by


@dataclass(frozen=True)
class Settings:
    """What is compared, how often, and where the result goes."""

    before: Annotated[Path, tyro.conf.Positional]
    """The other checkout."""
    contender: str = "praxis"
    """A contender of benchmarks/speed.py; each side runs its own checkout's."""
    rounds: int = 5
    """Measurements of each side."""
    seconds: float = 25.0
    """Time of each measurement, after its warm-up."""
    output: Path = ROOT / "benchmarks" / "results" / "speed" / "before-after.json"
    """The result."""


def main(settings: Settings) -> None:
    sides = {"before": settings.before.resolve(), "now": ROOT}
    speeds: dict[str, list[float]] = {side: [] for side in sides}
    for n in range(settings.rounds):
        # Each side begins as often as the other.
        for side, checkout in list(sides.items())[:: 1 if n % 2 else -1]:
            speeds[side].append(env_steps_a_second(checkout, settings))
        print(
            f"before {speeds['before'][-1]:8.0f}  now {speeds['now'][-1]:8.0f} env steps a second",
            flush=True,
        )
    ratios = [now / before for before, now in zip(speeds["before"], speeds["now"], strict=True)]
    result = {
        "command": " ".join(["python", "benchmarks/before_after.py", "CHECKOUT", *sys.argv[2:]]),
        "before": commit_of(settings.before),
        "env_steps_per_second": speeds,
        "ratios": [round(ratio, 3) for ratio in ratios],
        "median_ratio": round(statistics.median(ratios), 3),
        "made_by": made_by(),
    }
    print(
        f"now/before: median {result['median_ratio']}, from {min(ratios):.3f} to {max(ratios):.3f}"
    )
    write_json(settings.output, result)


def env_steps_a_second(checkout: Path, settings: Settings) -> float:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "speed.json"
        command = [
            sys.executable,
            str(checkout / "benchmarks" / "speed.py"),
            "--rounds",
            "1",
            "--output",
            str(output),
        ]
        command += ["--seconds", str(settings.seconds), "--contenders", settings.contender]
        subprocess.run(command, cwd=checkout, stdout=subprocess.DEVNULL, check=True)
        measured = json.loads(output.read_text())["rounds"][0][settings.contender]
    if "error" in measured:
        raise SystemExit(f"{settings.contender} in {checkout}: {measured['error']}")
    return measured["env_steps_per_second"]


def commit_of(checkout: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main(tyro.cli(Settings))
