"""A new memory: fading sums of a linear layer's outputs.

Run it: python -m docs.examples.memory
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.experiment import Experiment
from agents.settings.ppo import PPO
from agents.training.train import train
from common.ranges import Fraction, Size, check_ranges
from envs.probe import RecallConfig
from perception.settings.encoders import MLPConfig


@dataclass(frozen=True)
class TraceConfig:
    """Sums that fade exponentially with time."""

    units: Size = 16
    """Numbers that are remembered."""
    decay: Fraction = 0.9
    """Share of each that is left one step later."""
    steps: Size = 4
    """Env steps over which errors go back; they divide a rollout and a minibatch."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def size(self) -> int:
        return self.units

    def build(self, features: int) -> "Trace":
        return Trace(self, features)


class Trace(nn.Module):
    """Features and what was remembered -> the features beside the new traces."""

    capturable = True

    def __init__(self, config: TraceConfig, features: int) -> None:
        super().__init__()
        self.decay = config.decay
        self.write = nn.Linear(features, config.units)
        self.output_dim = features + config.units

    def forward(self, features: Tensor, memory: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """L steps of B environments, one step of all of them after the other: features (L * B, F),
        memory before the first step (B, S), episode starts (L * B,) -> outputs (L * B, F + S),
        memory after the last step (B, S)."""
        num_envs = len(memory)
        written = self.write(features).view(-1, num_envs, memory.shape[1])
        starts = first.view(-1, num_envs, 1)
        traces = []
        for step, new in enumerate(written):
            if (
                step > 0
            ):  # the memory before the first step is empty already where an episode starts there
                memory = memory.masked_fill(starts[step], 0.0)
            memory = self.decay * memory + new
            traces.append(memory)
        return torch.cat([features, torch.cat(traces)], 1), memory


def experiment(run_dir: str = "") -> Experiment:
    """A sign is shown, and asked for two steps later; without a memory the mean return is 0.5 at
    best."""
    return Experiment(
        env=RecallConfig(delay=2),
        algo=PPO(
            rollout_length=32,
            epochs=8,
            minibatch_size=128,
            learning_rate=3e-3,
            entropy_coefficient=0.01,
        ),
        encoder=MLPConfig(),
        memory=TraceConfig(),
        total_env_steps=8_192,
        evaluate_every_env_steps=8_192,
        run_dir=run_dir,
    )


if __name__ == "__main__":
    train(experiment())
