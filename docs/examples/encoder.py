"""A new encoder: random Fourier features (Rahimi and Recht 2007).

Run it: python -m docs.examples.encoder
"""

from dataclasses import dataclass

import gymnasium
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from agents.experiment import Experiment
from agents.settings.ppo import PPO
from agents.training.train import train
from common.ranges import Positive, Size, check_ranges
from envs.probe import ChoiceConfig


@dataclass(frozen=True)
class FourierConfig:
    """Cosines of random projections of the observation, and a dense layer that learns."""

    cosines: Size = 128
    """Random projections; their directions and phases stay as they are."""
    features: Size = 64
    """Width of the dense layer."""
    scale: Positive = 1.0
    """Standard deviation of the projections: a larger one makes features that change faster."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "FourierEncoder":
        if not isinstance(observation_space, Box) or len(observation_space.shape) != 1:
            raise ValueError(f"Fourier features are of vectors, not of {observation_space}.")
        return FourierEncoder(self, observation_space.shape[0])


class FourierEncoder(nn.Module):
    """Observations (B, D) -> features (B, output_dim)."""

    capturable = True  # a CUDA graph can hold it

    def __init__(self, config: FourierConfig, size: int) -> None:
        super().__init__()
        self.input_layer = Cosines(
            size, config.cosines, config.scale
        )  # has no parameters that learn
        self.torso = nn.Sequential(nn.Linear(config.cosines, config.features), nn.Tanh())
        self.output_dim = config.features

    def forward(self, observations: Tensor) -> Tensor:
        return self.torso(self.input_layer(observations))


class Cosines(nn.Module):
    """Observations (B, D) -> cosines of random projections (B, cosines)."""

    directions: Tensor
    phases: Tensor

    def __init__(self, size: int, cosines: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("directions", scale * torch.randn(size, cosines))
        self.register_buffer("phases", 2 * torch.pi * torch.rand(cosines))

    def forward(self, observations: Tensor) -> Tensor:
        return torch.cos(observations.float() @ self.directions + self.phases)


def experiment(run_dir: str = "") -> Experiment:
    """Ten times an episode one of four signs is shown, and the action of the same number pays 1."""
    return Experiment(
        env=ChoiceConfig(),
        algo=PPO(rollout_length=64, minibatch_size=128, learning_rate=3e-3, discount=0.0),
        encoder=FourierConfig(),
        total_env_steps=8_192,
        evaluate_every_env_steps=8_192,
        run_dir=run_dir,
    )


if __name__ == "__main__":
    train(experiment())
