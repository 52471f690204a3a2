"""Everything that is measured on a GPU, in an order and with limits for a machine that is lent for
some minutes: python benchmarks/gpu_session.py --minutes 14 --output gpu-results

Speed comes first, then a training that takes the time that is left, and its evaluation. What a step
prints goes into a file of its own; a step that fails, or takes too long, is told of, and the next
one begins. Wheels that the machine lacks must have been unpacked before.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from common.files import write_json
from common.provenance import made_by

SPEED = ("benchmarks/speed.py", "--rounds", "1", "--seconds")
STEPS: dict[str, tuple[float, tuple[str, ...]]] = {
    "tests": (60.0, ("-m", "pytest", "-q", "tests/agents/acceleration/test_cuda_graph.py")),
    "ppo": (100.0, (*SPEED, "{seconds}", "--contenders", "praxis", "loop", "sb3")),
    "dqn": (70.0, (*SPEED, "{seconds}", "--contenders", "dqn-praxis", "dqn-sb3")),
    "td3": (70.0, (*SPEED, "{seconds}", "--contenders", "td3-praxis", "td3-sb3")),
    "sac": (70.0, (*SPEED, "{seconds}", "--contenders", "sac-praxis", "sac-sb3")),
}
"""By name: the most seconds that a step may take, and the Python program it is."""
TRAINING = (
    "scripts/train_agent.py",
    "--encoder=impala",
    "--num-envs=128",
    "--algo.minibatch-size=1024",
    "--evaluate-every-env-steps=0",
)
EVALUATION_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """How long it may take, and where the results go."""

    output: Path
    """A new folder."""
    minutes: float = 14.0
    """Of the whole session."""
    seconds: float = 4.0
    """Of each measurement of speed, after its warm-up."""
    env: str = "SpaceInvaders"
    """What the training learns."""
    total_env_steps: int = 10_000_000
    """Of the training, if they are reached."""


def main(settings: Settings) -> None:
    settings.output.mkdir(parents=True)
    ends = time.monotonic() + 60 * settings.minutes
    told: dict[str, str] = {}
    for name, (limit, program) in STEPS.items():
        own = () if name == "tests" else ("--output", str(settings.output / f"{name}.json"))
        filled = (argument.format(seconds=settings.seconds) for argument in program)
        told[name] = ran(settings, name, (*filled, *own), limit)
    run = settings.output / "run"
    steps = f"--total-env-steps={settings.total_env_steps}"
    training = (*TRAINING, f"--env={settings.env}", steps, f"--run-dir={run}")
    left = ends - time.monotonic() - EVALUATION_SECONDS
    told["training"] = ran(settings, "training", training, left)
    evaluation = ("scripts/evaluate_agent.py", str(run), "--episodes=30")
    told["evaluation"] = ran(settings, "evaluation", evaluation, ends - time.monotonic())
    write_json(settings.output / "session.json", {"steps": told, "made_by": made_by()})


def ran(settings: Settings, name: str, program: tuple[str, ...], limit: float) -> str:
    """How a step went. One that takes too long is asked to save and stop."""
    started = time.monotonic()
    with (settings.output / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *program], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            code = process.wait(max(1.0, limit))
            outcome = f"exit code {code}"
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(20.0)
            except subprocess.TimeoutExpired:
                process.kill()
            outcome = "stopped at its limit"
    line = f"{name}: {outcome} after {time.monotonic() - started:.0f} s"
    print(line, flush=True)
    return line


if __name__ == "__main__":
    main(tyro.cli(Settings))
