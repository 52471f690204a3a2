"""Whether this checkout trains as another one does, to the bit: python
benchmarks/same_training.py ../praxis-before

For a change that is to leave the numbers as they are. Both sides run the same short trainings on
this machine; every number and every array of their newest checkpoints is compared, under the names
that this checkout gives them. Exit code 1 where one differs.
Make the other checkout with `git worktree add --detach ../praxis-before COMMIT`.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agents.checkpoint import STATE, finished_checkpoints, load_state
from common.files import write_json
from common.provenance import made_by

IN_ONE_PROCESS = (
    "--num-env-runners",
    "0",
    "--num-learners",
    "0",
    "--evaluate-every-env-steps",
    "0",
)
LOG = "log.parquet"
LOGGED = ("--env", "care-episode", "--epsilon", "0.2", "--episodes", "300", "--output", LOG)
TRAININGS: dict[str, tuple[str, ...]] = {
    "ppo, vectors": ("--env", "CartPole-v1", "--algo", "ppo", "--total-env-steps", "4096"),
    "ppo, images": (
        "--env",
        "SpaceInvaders",
        "--algo",
        "ppo",
        "--num-envs",
        "4",
        "--total-env-steps",
        "2048",
    ),
    "ppo, doses": ("--env", "Pendulum-v1", "--algo", "ppo", "--total-env-steps", "8192"),
    "ppo, memory": ("--env", "MemoryS7", "--algo", "ppo", "--total-env-steps", "16384"),
    "ppo, curiosity": (
        "--env",
        "DoorKey-5x5",
        "--algo",
        "ppo",
        "--reward",
        "rnd",
        "--total-env-steps",
        "8192",
    ),
    "appo": ("--env", "CartPole-v1", "--algo", "appo", "--total-env-steps", "4096"),
    "dqn": ("--env", "CartPole-v1", "--algo", "dqn", "--total-env-steps", "4000"),
    "rainbow": ("--env", "CartPole-v1", "--algo", "rainbow", "--total-env-steps", "4000"),
    "ddpg": ("--env", "Pendulum-v1", "--algo", "ddpg", "--total-env-steps", "2000"),
    "td3": ("--env", "Pendulum-v1", "--algo", "td3", "--total-env-steps", "2000"),
    "sac": ("--env", "Pendulum-v1", "--algo", "sac", "--total-env-steps", "2000"),
    "pqn": ("--env", "CartPole-v1", "--algo", "pqn", "--total-env-steps", "4096"),
    "iql": (
        "--env",
        "care-episode",
        "--algo",
        "iql",
        "--algo.demonstrations",
        LOG,
        "--total-env-steps",
        "16384",
    ),
    "cql": (
        "--env",
        "care-episode",
        "--algo",
        "cql",
        "--algo.demonstrations",
        LOG,
        "--total-env-steps",
        "16384",
    ),
    "bc": (
        "--env",
        "care-episode",
        "--algo",
        "bc",
        "--algo.demonstrations",
        LOG,
        "--total-env-steps",
        "16384",
    ),
}


@dataclass(frozen=True)
class Settings:
    """What is compared, and where the result goes."""

    before: Annotated[Path, tyro.conf.Positional]
    """The other checkout."""
    only: tuple[str, ...] = tuple(TRAININGS)
    """The trainings to compare, by name."""
    output: Path = ROOT / "benchmarks" / "results" / "house" / "same-training.json"
    """The result."""


def main(settings: Settings) -> None:
    sides = {"before": settings.before.resolve(), "now": ROOT}
    differing: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        command(
            sides["before"],  # whose logs both can read
            folder,
            "log_episodes.py",
            "--env",
            "care-episode",
            "--epsilon",
            "0.2",
            "--episodes",
            "300",
            "--output",
            LOG,
        )
        for name in settings.only:
            digests = {
                side: trained(checkout, folder, side, TRAININGS[name])
                for side, checkout in sides.items()
            }
            parts = digests["before"].keys() | digests["now"].keys()
            differing[name] = sorted(
                part for part in parts if digests["before"].get(part) != digests["now"].get(part)
            )
            print(
                f"{name:16} {len(parts)} parts, differing: {', '.join(differing[name]) or 'none'}",
                flush=True,
            )
    result = {
        "command": "python benchmarks/same_training.py CHECKOUT",
        "before": commit_of(settings.before),
        "trainings": {name: " ".join(TRAININGS[name]) for name in settings.only},
        "parts_that_differ": differing,
        "made_by": made_by(),
    }
    write_json(settings.output, result)
    raise SystemExit(any(differing.values()))


def trained(checkout: Path, folder: Path, side: str, arguments: Sequence[str]) -> dict[str, str]:
    """The digests of what the newest checkpoint holds, by place and name."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=side) as run:
        command(
            checkout,
            folder,
            "train_agent.py",
            *arguments,
            *IN_ONE_PROCESS,
            "--run-dir",
            f"{run}/run",
        )
        checkpoint = finished_checkpoints(Path(run, "run", "checkpoints"))[0]
        return {
            f"{state.parent.relative_to(checkpoint)}{name}": digest
            for state in sorted(checkpoint.rglob(STATE))
            for name, digest in digests_of(load_state(state.parent))
        }


def digests_of(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The name within a state, and the digest, of every array and every other value."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from digests_of(part, f"{name}/{key}")
    elif isinstance(value, np.ndarray):
        told = f"{value.dtype} {value.shape}".encode() + value.tobytes()
        yield name, hashlib.sha256(told).hexdigest()
    else:
        yield name, repr(value)


def command(checkout: Path, folder: Path, script: str, *arguments: str) -> None:
    """Runs a script of a checkout in the folder; its output is shown where it fails."""
    done = subprocess.run(
        [sys.executable, str(checkout / "scripts" / script), *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(
            f"{script} {' '.join(arguments)} in {checkout}:\n{done.stdout}{done.stderr}"
        )


def commit_of(checkout: Path) -> str:
    return subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
