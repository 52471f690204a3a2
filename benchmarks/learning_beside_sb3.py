"""What an off-policy algorithm learns beside Stable-Baselines3's, with the same settings, on the
same seeds.

    python benchmarks/learning_beside_sb3.py --case dqn       # Space Invaders, 200,000 env steps
    python benchmarks/learning_beside_sb3.py --case td3       # HalfCheetah, 100,000; or ddpg, or --env Hopper

Where they differ: Praxis acts in 32 games at a time, of robots in one for 8 steps at a time, and
learns in bfloat16 where the processor is made for it, and Stable-Baselines3 adds its noise to the
random actions before learning starts, too. The settings are those for HalfCheetah, on Hopper as
well.

Networks from the second half of each run then play whole episodes, unclipped: of DDPG and TD3 those
after 60, 70, ... 100 % of the env steps, 30 episodes each, without noise. Of DQN twenty, 10 games
each, with one random action in twenty (Mnih et al. 2015): the games of one network are much alike,
and whether they come out as 40 or 300 says little of what the run has learnt. What is there already
is not trained again.
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from learning import command, curves

from agents.checkpoint import finished_checkpoints
from agents.evaluation.evaluate import bootstrap_interval, interquartile_mean
from agents.monitoring.metrics import read_progress
from scripts.recipes import environment_named

RIVAL = ROOT / "benchmarks" / "contenders" / "sb3_learning.py"


@dataclass(frozen=True)
class Case:
    """What is compared, and what each side's command is told besides seed and length."""

    env: str
    total_env_steps: int
    snapshots: int = 5
    episodes: int = 30
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()

    @property
    def snapshot_every(self) -> int:
        """Env steps between two networks of the second half."""
        return self.total_env_steps // (2 * self.snapshots)

    @property
    def play_at(self) -> list[int]:
        return [
            self.total_env_steps - self.snapshot_every * i for i in reversed(range(self.snapshots))
        ]


CASES = {
    "dqn": Case(
        "SpaceInvaders",
        200_000,
        snapshots=20,
        episodes=10,
        ours=("--algo.evaluation-epsilon", "0.05", "--algo.no-checkpoint-replay"),
        theirs=("--epsilon", "0.05"),
    ),
    "ddpg": Case("HalfCheetah", 100_000),
    "td3": Case("HalfCheetah", 100_000),
}
COLORS = {"Praxis": "tab:blue", "Stable-Baselines3": "tab:orange"}


def main(
    case: Literal["dqn", "ddpg", "td3"] = "dqn",
    env: str = "",
    seeds: tuple[int, ...] = (1, 2, 3),
    runs: Path = ROOT / "runs",
    output: Path | None = None,
) -> None:
    """Trains both, evaluates and draws.

    Args:
        case: The algorithm.
        env: Where, if not where the case says.
        seeds: One run each, on each side.
        runs: Where the run folders are or come to be.
        output: The numbers; the picture lies beside it. Named by case and environment if not said.
    """
    chosen = replace(CASES[case], env=env or CASES[case].env)
    output = output or ROOT / "benchmarks" / "results" / "learning" / f"{case}-{chosen.env}.json"
    told = " ".join(["python benchmarks/learning_beside_sb3.py", *sys.argv[1:]])
    result: dict[str, Any] = {
        "command": told,
        "env": chosen.env,
        "Praxis": {},
        "Stable-Baselines3": {},
    }
    for seed in seeds:
        result["Praxis"][seed] = ours(runs / f"{chosen.env}-{case}-seed{seed}", case, chosen, seed)
        path = runs / f"{chosen.env}-{case}-sb3-seed{seed}.json"
        result["Stable-Baselines3"][seed] = theirs(path, case, chosen, seed)
    for side in COLORS:
        result[side] |= summary(
            [np.array(games) for row in result[side].values() for games in row["returns"].values()]
        )
        told_of = ("iqm", "mean", "ci95_of_mean", "networks_alike")
        print(side, {name: np.round(result[side][name], 1).tolist() for name in told_of})
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    draw(result, f"{case} on {chosen.env}", seeds, output.with_suffix(".png"))
    print(f"{output}, {output.with_suffix('.png')}")


def summary(networks: list[NDArray]) -> dict[str, Any]:
    """IQM and mean over all games; the interval is of the mean over networks, whose games are
    alike.

    `networks_alike` have played, game by game, just what another one has, as those do that press
    one button whatever they see."""
    games = np.concatenate(networks)
    interval = bootstrap_interval(np.array([games.mean() for games in networks]), seed=0)
    copies = Counter(tuple(games) for games in networks)
    return {
        "iqm": interquartile_mean(games),
        "mean": float(games.mean()),
        "ci95_of_mean": interval,
        "networks_alike": sum(count for count in copies.values() if count > 1),
    }


def ours(run: Path, algo: str, case: Case, seed: int) -> dict[str, Any]:
    lines = read_progress(run / "progress.jsonl")
    if not lines:
        choices = ["--env", case.env, "--algo", algo, "--seed", str(seed), *case.ours]
        length = ["--total-env-steps", str(case.total_env_steps), "--evaluate-every-env-steps", "0"]
        # one more each time that it is stopped
        every = str(case.snapshot_every)
        kept = str(2 * case.snapshots)
        checkpoints = ["--checkpoint-every-env-steps", every, "--keep-checkpoints", kept]
        command("train_agent.py", *choices, *length, *checkpoints, "--run-dir", str(run))
    elif lines[-1]["env_steps"] < case.total_env_steps:
        command("train_agent.py", "--resume", str(run))
    returns = {}
    for checkpoint in snapshots(finished_checkpoints(run / "checkpoints"), case):
        command(
            "evaluate_agent.py",
            str(run),
            "--checkpoint",
            checkpoint.name,
            "--episodes",
            str(case.episodes),
        )
        returns[checkpoint.name] = json.loads((run / "evaluation.json").read_text())["returns"]
    lines = [
        line
        for line in read_progress(run / "progress.jsonl")
        if line["env_steps"] <= case.total_env_steps
    ]
    curve = [(line["env_steps"], line.get("episode/return_mean")) for line in lines]
    described = json.loads((run / "experiment.json").read_text())
    return {"returns": returns, "curve": curve} | described


def snapshots(checkpoints: list[Path], case: Case) -> list[Path]:
    """The first checkpoint at or after each env step to play at; raises SystemExit where one is
    missing."""
    steps = sorted((int(path.name.removeprefix("step-")), path) for path in checkpoints)
    chosen = []
    for wanted in case.play_at:
        found = [path for done, path in steps if wanted <= done < wanted + case.snapshot_every]
        if not found:
            raise SystemExit(
                f"There is no checkpoint of {wanted:,} env steps; remove the run's folder and "
                "start again."
            )
        chosen.append(found[0])
    return chosen


def theirs(path: Path, algo: str, case: Case, seed: int) -> dict[str, Any]:
    if not path.exists():
        length = [
            "--total-env-steps",
            str(case.total_env_steps),
            "--play-at",
            *map(str, case.play_at),
        ]
        length += ["--episodes", str(case.episodes)]
        choices = [
            "--env",
            case.env,
            "--algo",
            algo,
            "--seed",
            str(seed),
            *case.theirs,
            "--output",
            str(path),
        ]
        subprocess.run([sys.executable, str(RIVAL), *choices, *length], check=True)
    result = json.loads(path.read_text())
    played = [(int(step), len(games)) for step, games in result["returns"].items()]
    if played != [(step, case.episodes) for step in case.play_at]:
        raise SystemExit(f"{path} is of another comparison: it was played at {played}; remove it.")
    return result


def draw(result: dict[str, Any], title: str, seeds: tuple[int, ...], path: Path) -> None:
    figure, axes = curves(title, environment_named(result["env"]).reference_scores["random"])
    for side, color in COLORS.items():
        for seed in seeds:
            curve = [
                (step, value) for step, value in result[side][seed]["curve"] if value is not None
            ]
            label = side if seed == seeds[0] else None
            axes.plot(*zip(*curve, strict=True), linewidth=1.4, color=color, label=label)
    axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    tyro.cli(main)
