"""What DQN learns on Space Invaders in 200,000 env steps, beside Stable-Baselines3's: python benchmarks/learning_dqn.py

Both with the settings of the recipe `dqn`, on as many seeds; then both play 30 whole games a seed, unclipped,
with one random action in a thousand. What is there already is not trained again. Half an hour a seed on two cores.
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

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from learning import measured

from agents.evaluate import bootstrap_interval, interquartile_mean

RIVAL = ROOT / "benchmarks" / "contenders" / "dqn_sb3_learning.py"
RANDOM = 148.0
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
        ours = measured(runs / f"{env}-dqn-seed{seed}", env, "dqn", seed, total_env_steps)
        result["Praxis"][seed] = ours | ours["sampled"]
        result["Stable-Baselines3"][seed] = rival(runs / f"{env}-dqn-sb3-seed{seed}.json", env, seed, total_env_steps)
    for side in COLOURS:
        games = np.array([value for row in result[side].values() for value in row["returns"]])
        low, high = bootstrap_interval(games, seed=0)
        result[side] |= {"iqm": interquartile_mean(games), "mean": float(games.mean()), "ci95_of_mean": (low, high)}
        print(f"{side}: IQM {result[side]['iqm']:.1f}, mean {games.mean():.1f} ({low:.1f} to {high:.1f})")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    draw(result, seeds, output.with_suffix(".png"))
    print(f"{output}, {output.with_suffix('.png')}")


def rival(path: Path, env: str, seed: int, total_env_steps: int) -> dict[str, Any]:
    if not path.exists():
        choices = ["--env", env, "--seed", str(seed), "--total-env-steps", str(total_env_steps)]
        subprocess.run([sys.executable, str(RIVAL), *choices, "--output", str(path)], check=True)
    return json.loads(path.read_text())


def draw(result: dict[str, Any], seeds: tuple[int, ...], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7.2, 3.6), dpi=110)
    for side, colour in COLOURS.items():
        for seed in seeds:
            curve = [(step, value) for step, value in result[side][seed]["curve"] if value is not None]
            label = side if seed == seeds[0] else None
            axes.plot(*zip(*curve, strict=True), linewidth=1.4, color=colour, label=label)
    axes.axhline(RANDOM, color="grey", linestyle=":", label="random")
    axes.set_xlabel("env steps (four frames each)")
    axes.set_ylabel("return of whole games, unclipped")
    axes.set_title(f"DQN on {result['env']}: mean of the latest 100 training games")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1e3:g}k")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    tyro.cli(main)
