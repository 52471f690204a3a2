"""Which modules help an agent that plays Space Invaders: as it learnt to, in other greys, and in
noise.

for each encoder, five trainings:
    python scripts/train_agent.py --total-env-steps 500000 --evaluate-every-env-steps 0 \\
        --encoder NAME --run-dir runs/compare/NAME-seed1           # benchmarks/seeing.md has them
python benchmarks/seeing_agents.py                                 # results/seeing/agents.json
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
import tyro
from speed import surroundings
from torch import Tensor, nn

from agents.evaluation.evaluate import evaluate, load_chosen
from agents.experiment import Experiment
from envs.atari.games import AtariConfig
from perception.classical.filters import Filtered
from scripts.cli import load_experiment

NOISE = 25.0


def main(
    runs: Path = ROOT / "runs" / "compare",
    episodes: int = 60,
    noise_of: str = "pixels",
    filters: tuple[str, ...] = ("gaussian", "median"),
    output: Path = ROOT / "benchmarks" / "results" / "seeing" / "agents.json",
) -> None:
    """Plays whole games with the last network of every run.

    Args:
        runs: A folder of run folders, such as yolo-seed1.
        episodes: Whole games of each, with seeds that no training had.
        noise_of: Encoder of the run that also plays in noise, with and without filters.
        filters: Which of perception/classical/filters.py; all others take minutes more.
        output: The returns.
    """
    told: dict[str, Any] = {
        "command": " ".join(["python benchmarks/seeing_agents.py", *sys.argv[1:]])
    }
    told |= {**surroundings(), "runs": {}, "noise": {}}
    for folder in sorted(path for path in runs.iterdir() if (path / "experiment.json").is_file()):
        experiment = load_experiment(folder)
        told["runs"][folder.name] = {"plain": played(experiment, folder, episodes)}
        if isinstance(experiment.env, AtariConfig):
            shifted = replace(experiment, env=replace(experiment.env, palette_shift=1.0))
            told["runs"][folder.name]["shifted"] = played(shifted, folder, episodes)
        if folder.name.startswith(noise_of):
            told["noise"][folder.name] = {
                name: played(experiment, folder, episodes, filter=name)
                for name in ("none", *filters)
            }
        output.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


def played(experiment: Experiment, folder: Path, episodes: int, filter: str = "") -> dict[str, Any]:
    """Returns, sampled; with a filter's name, in noise that it takes away."""
    network, checkpoint = load_chosen(experiment, folder, "latest")
    if filter:
        network.encoder.input_layer = nn.Sequential(Noisy(filter), network.encoder.input_layer)
    result = evaluate(
        experiment,
        network,
        episodes=episodes,
        seed=1_000_000,
        deterministic=False,
        checkpoint=checkpoint.name,
    )
    print(f"{folder.name} {filter} {result.mean:.1f} {result.ci95}", flush=True)
    return {
        name: getattr(result, name) for name in ("mean", "ci95", "iqm", "checkpoint", "returns")
    }


class Noisy(nn.Module):
    """Images uint8 (B, C, H, W) -> the same with noise, another one at each look at a frame, and
    then a filter."""

    def __init__(self, filter: str) -> None:
        super().__init__()
        self.filter: Any = Filtered(filter, NOISE)  # pyright: ignore[reportArgumentType]
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, images: Tensor) -> Tensor:
        noise = torch.randn(images.shape, generator=self.generator) * NOISE
        noisy = (images + noise.to(images.device)).round().clamp(0, 255).to(torch.uint8)
        return self.filter(noisy.flatten(0, 1)[:, None]).view(images.shape)


if __name__ == "__main__":
    tyro.cli(main)
