"""What DQN learns on Space Invaders in 200,000 env steps, beside Stable-Baselines3's: python benchmarks/learning_dqn.py

Both with the settings of the recipe `dqn`, on as many seeds. What was learnt after 120, 140, ... 200 thousand env
steps then plays 30 whole games, unclipped, with one random action in twenty (Mnih et al. 2015): the greedy games of a
single network are much alike, and whether they come out as 3 or 380 says little of what was learnt. What is there
already is not trained again. Half an hour a seed on two cores.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from learning import command, curves

from agents.checkpoint import finished_checkpoints
from agents.evaluate import bootstrap_interval, interquartile_mean
from agents.metrics import read_progress

RIVAL = ROOT / "benchmarks" / "contenders" / "dqn_sb3_learning.py"
SNAPSHOTS = 5
EPSILON = "0.05"
COLOURS = {"Praxis": "tab:blue", "Stable-Baselines3": "tab:orange"}


def main(
    env: str = "SpaceInvaders",
    seeds: tuple[int, ...] = (1, 2, 3),
    total_env_steps: int = 200_000,
    runs: Path = ROOT / "runs",
    output: Path = ROOT / "benchmarks" / "results" / "learning-dqn.json",
) -> None:
    """Trains both, evaluates and draws.

    Args:
        env: The game.
        seeds: One run each, on each side.
        total_env_steps: Env steps a run.
        runs: Where the run folders are or come to be.
        output: The numbers; the picture lies beside it.
    """
    result: dict[str, Any] = {"command": " ".join(["python benchmarks/learning_dqn.py", *sys.argv[1:]]), "env": env}
    result["Praxis"], result["Stable-Baselines3"] = {}, {}
    for seed in seeds:
        result["Praxis"][seed] = ours(runs / f"{env}-dqn-seed{seed}", env, seed, total_env_steps)
        result["Stable-Baselines3"][seed] = rival(runs / f"{env}-dqn-sb3-seed{seed}.json", env, seed, total_env_steps)
    for side in COLOURS:
        result[side] |= summary([np.array(games) for row in result[side].values() for games in row["returns"].values()])
        print(side, {name: np.round(result[side][name], 1).tolist() for name in ("iqm", "mean", "ci95_of_mean")})
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    draw(result, seeds, output.with_suffix(".png"))
    print(f"{output}, {output.with_suffix('.png')}")


def summary(snapshots: list[NDArray]) -> dict[str, Any]:
    """IQM and mean over all games; the interval is of the mean over snapshots, whose games are alike."""
    games = np.concatenate(snapshots)
    interval = bootstrap_interval(np.array([games.mean() for games in snapshots]), seed=0)
    return {"iqm": interquartile_mean(games), "mean": float(games.mean()), "ci95_of_mean": interval}


def play_at(total_env_steps: int) -> list[int]:
    every = total_env_steps // 10
    return [total_env_steps - every * i for i in reversed(range(SNAPSHOTS))]


def ours(run: Path, env: str, seed: int, total_env_steps: int) -> dict[str, Any]:
    lines = read_progress(run / "progress.jsonl")
    if not lines:
        snapshots = ["--checkpoint-every-env-steps", str(total_env_steps // 10), "--keep-checkpoints", str(SNAPSHOTS)]
        chance = ["--algo.evaluation-epsilon", EPSILON]
        choices = ["--env", env, "--algo", "dqn", "--seed", str(seed), "--total-env-steps", str(total_env_steps)]
        command(
            "train_agent.py", *choices, *snapshots, *chance, "--evaluate-every-env-steps", "0", "--run-dir", str(run)
        )
    elif lines[-1]["env_steps"] < total_env_steps:
        command("train_agent.py", "--resume", str(run))
    returns = {}
    for checkpoint in reversed(finished_checkpoints(run / "checkpoints")[:SNAPSHOTS]):
        command("evaluate_agent.py", str(run), "--checkpoint", checkpoint.name)
        returns[checkpoint.name] = json.loads((run / "evaluation.json").read_text())["returns"]
    curve = [(line["env_steps"], line.get("episode/return_mean")) for line in read_progress(run / "progress.jsonl")]
    described = json.loads((run / "experiment.json").read_text())
    return {"returns": returns, "curve": curve, "git_commit": described["git_commit"], "machine": described["machine"]}


def rival(path: Path, env: str, seed: int, total_env_steps: int) -> dict[str, Any]:
    if not path.exists():
        choices = ["--env", env, "--seed", str(seed), "--total-env-steps", str(total_env_steps)]
        steps = ["--play-at", *map(str, play_at(total_env_steps))]
        subprocess.run(
            [sys.executable, str(RIVAL), *choices, *steps, "--epsilon", EPSILON, "--output", str(path)], check=True
        )
    return json.loads(path.read_text())


def draw(result: dict[str, Any], seeds: tuple[int, ...], path: Path) -> None:
    figure, axes = curves(f"DQN on {result['env']}")
    for side, colour in COLOURS.items():
        for seed in seeds:
            curve = [(step, value) for step, value in result[side][seed]["curve"] if value is not None]
            label = side if seed == seeds[0] else None
            axes.plot(*zip(*curve, strict=True), linewidth=1.4, color=colour, label=label)
    axes.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    tyro.cli(main)
