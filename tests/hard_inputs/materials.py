"""Right inputs for commands, in small: runs, a log, demonstrations, frames, a module and a
sweep."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUICK = ("--evaluate-every-env-steps", "0")
COMMANDS: tuple[tuple[str, ...], ...] = (
    (
        "train_agent",
        "--env",
        "CartPole-v1",
        *QUICK,
        "--total-env-steps",
        "1024",
        "--run-dir",
        "run",
    ),
    (
        *(
            "train_agent",
            "--env",
            "CartPole-v1",
            "--algo",
            "dqn",
            *QUICK,
            "--total-env-steps",
            "2000",
        ),
        *("--algo.learning-starts-env-steps", "500", "--run-dir", "run-dqn"),
    ),
    (
        "train_agent",
        "--env",
        "care-episode",
        *QUICK,
        "--total-env-steps",
        "2048",
        "--run-dir",
        "run-care",
    ),
    (
        *("log_episodes", "--env", "care-episode", "--policy", "soft standard of care"),
        *("--episodes", "40", "--output", "log.parquet"),
    ),
    ("make_demonstrations", "--episodes", "8", "--output", "demonstrations.safetensors"),
    (
        "make_frames",
        "--train-episodes",
        "1",
        "--test-episodes",
        "1",
        "--every",
        "60",
        "--output",
        "frames.npz",
    ),
    (
        "train_module",
        "digits",
        "--total-steps",
        "20",
        "--evaluate-every-steps",
        "20",
        "--run-dir",
        "module",
    ),
    (
        *("tune_agent", "--env", "CartPole-v1", "--trials", "2", "--at-a-time", "1"),
        *("--evaluate-every-env-steps", "1024", "--total-env-steps", "1024", "--run-dir", "sweep"),
    ),
)


def make_materials(folder: Path) -> None:
    """Runs the commands in `folder`, where they do not stand already, and adds some junk.

    Raises subprocess.CalledProcessError where one fails."""
    folder.mkdir(parents=True, exist_ok=True)
    for script, *arguments in COMMANDS:
        if (folder / arguments[-1]).exists():
            continue
        command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *arguments]
        subprocess.run(command, cwd=folder, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    (folder / "junk.txt").write_text("junk\n")
    (folder / "empty").write_bytes(b"")
    (folder / "folder").mkdir(exist_ok=True)
