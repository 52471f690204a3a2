"""What PPO learns on Space Invaders in a million env steps: python benchmarks/learning.py

Trains every seed with `python scripts/train_agent.py --env SpaceInvaders --seed S`, plays 30 whole
games with what came out, sampled and deterministic, and draws the curves. A run that was stopped is
gone on with, one that is done is only evaluated. Half an hour a seed on two cores.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agents.monitoring.metrics import read_progress

POINTS = 200
RANDOM = 148.0  # Mnih et al. 2015, on Space Invaders
SUMMARY = ("checkpoint", "episodes", "mean", "median", "iqm", "ci95", "returns")


def main(
    env: str = "SpaceInvaders",
    seeds: tuple[int, ...] = (1, 2, 3),
    total_env_steps: int = 1_000_000,
    runs: Path = ROOT / "runs",
    output: Path = ROOT / "benchmarks" / "results" / "learning" / "ppo-SpaceInvaders.json",
) -> None:
    """Trains, evaluates and draws.

    Args:
        env: The environment.
        seeds: One run each.
        total_env_steps: Env steps a run.
        runs: Where the run folders are or come to be.
        output: The numbers; the picture lies beside it.
    """
    result: dict[str, Any] = {
        "command": " ".join(["python benchmarks/learning.py", *sys.argv[1:]]),
        "env": env,
    }
    result["seeds"] = {
        seed: measured(runs / f"{env}-seed{seed}", env, seed, total_env_steps) for seed in seeds
    }
    for play in ("sampled", "deterministic"):
        result[f"mean_{play}"] = float(
            np.mean([row[play]["mean"] for row in result["seeds"].values()])
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    draw(result, output.with_suffix(".png"))
    print(
        f"mean over seeds: sampled {result['mean_sampled']:.1f}, deterministic "
        f"{result['mean_deterministic']:.1f}"
    )
    print(f"{output}, {output.with_suffix('.png')}")


def measured(run: Path, env: str, seed: int, total_env_steps: int) -> dict[str, Any]:
    """Trains, or goes on, to `total_env_steps`, and plays."""
    lines = read_progress(run / "progress.jsonl")
    if not lines:
        steps = ["--total-env-steps", str(total_env_steps)]
        choices = ["--env", env, "--seed", str(seed)]
        command("train_agent.py", *choices, *steps, "--run-dir", str(run))
    elif lines[-1]["env_steps"] < total_env_steps:
        command("train_agent.py", "--resume", str(run))
    plays = {}
    for play, flags in (("deterministic", ["--deterministic"]), ("sampled", [])):
        command("evaluate_agent.py", str(run), *flags)
        evaluation = json.loads((run / "evaluation.json").read_text())
        plays[play] = {name: evaluation[name] for name in SUMMARY}
    lines = [line for line in read_progress(run / "progress.jsonl") if "memory/rss_mib" in line]
    chosen = [lines[i] for i in np.linspace(0, len(lines) - 1, min(POINTS, len(lines))).astype(int)]
    described = json.loads((run / "experiment.json").read_text())
    return {
        **plays,
        "git_commit": described["git_commit"],
        "machine": described["machine"],
        "curve": [[line["env_steps"], line.get("episode/return_mean")] for line in chosen],
        "rss_mib": [
            round(lines[i]["memory/rss_mib"]) for i in (len(lines) // 20, len(lines) // 2, -1)
        ],
        "env_steps_per_second": float(
            np.median([line["speed/env_steps_per_second"] for line in lines])
        ),
    }


def command(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / script), *arguments], check=True)


def draw(result: dict[str, Any], path: Path) -> None:
    figure, axes = curves(f"PPO on {result['env']}", RANDOM)
    for seed, row in result["seeds"].items():
        curve = [(step, value) for step, value in row["curve"] if value is not None]
        axes.plot(*zip(*curve, strict=True), linewidth=1.4, label=f"seed {seed}")
    axes.legend(frameon=False)
    figure.savefig(path)


def curves(what: str, random: float) -> tuple[Figure, Axes]:
    """An empty picture of returns over env steps, random play's drawn in."""
    figure, axes = plt.subplots(figsize=(7.2, 3.6), dpi=110, layout="constrained")
    axes.axhline(random, color="grey", linestyle=":", label="random")
    axes.set_xlabel("env steps")
    axes.set_ylabel("return of whole episodes, unclipped")
    axes.set_title(f"{what}: mean of the latest 100 training episodes")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


if __name__ == "__main__":
    tyro.cli(main)
