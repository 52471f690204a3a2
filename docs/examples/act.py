"""Acts with a trained agent, step by step.

Run it: python -m docs.examples.act runs/RUN
"""

import sys
from pathlib import Path

import torch

from agents.evaluation.evaluate import act, batch_of_one, load_chosen
from scripts.cli import load_experiment


def play(run: Path, checkpoint: str = "latest", seed: int = 0) -> float:
    """The return of one episode."""
    experiment = load_experiment(run)
    network, _ = load_chosen(experiment, run, checkpoint)
    memory = network.no_memory(1)
    generator = torch.Generator(memory.device).manual_seed(seed)
    env = experiment.env.build()
    observation, _ = env.reset(seed=seed)
    total = 0.0
    over = False
    while not over:
        actions, memory = act(
            network, batch_of_one(observation), memory, generator, deterministic=True
        )
        observation, reward, terminated, truncated, _ = env.step(actions[0])
        total += float(reward)
        over = terminated or truncated
    env.close()
    return total


if __name__ == "__main__":
    print(f"return {play(Path(sys.argv[1])):.1f}")
