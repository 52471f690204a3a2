"""A new reward: a bonus for rare observations, counted by hashes (SimHash; Tang et al. 2017,
#Exploration).

Run it: python -m docs.examples.reward
"""

from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.experiment import Experiment
from agents.settings.ppo import PPO
from agents.training.train import train
from common.ranges import NonNegative, Range, check_ranges
from docs.examples.environment import CorridorConfig
from perception.settings.encoders import MLPConfig


@dataclass(frozen=True)
class CountRewardConfig:
    """Adds weight / sqrt(n) to a step whose observation has been seen n times."""

    weight: NonNegative = 0.1
    """The bonus of an observation that is new."""
    bits: Annotated[int, Range(1, 20)] = 12
    """Length of the hash: observations with the same hash are counted together."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return rewards

    def build(
        self, observation_space: gymnasium.Space, action_space: gymnasium.Space
    ) -> "CountReward":
        if not isinstance(observation_space, Box):
            raise ValueError(f"Counts are of arrays, not of {observation_space}.")
        return CountReward(self, int(np.prod(observation_space.shape)))


class CountReward(nn.Module):
    """Counts observations by the signs of random projections; it has no parameters to train."""

    learning_rate = 0.0
    counts: Tensor
    directions: Tensor
    powers: Tensor

    def __init__(self, config: CountRewardConfig, size: int) -> None:
        super().__init__()
        self.weight = config.weight
        # Buffers are saved in checkpoints with the network.
        self.register_buffer("directions", torch.randn(size, config.bits))
        self.register_buffer("powers", 2 ** torch.arange(config.bits))
        self.register_buffer("counts", torch.zeros(2**config.bits))

    def reward(self, steps: Any) -> Tensor:
        """The bonus of each step (B,) float32."""
        signs = steps.observations.flatten(1).float() @ self.directions > 0
        hashes = (signs * self.powers).sum(1)
        self.counts += torch.bincount(hashes, minlength=len(self.counts))
        return self.weight / self.counts[hashes].sqrt()

    def loss(self, steps: Any) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError("A module without parameters has no loss.")


def experiment(run_dir: str = "") -> Experiment:
    """The corridor, which pays at its end alone, with the bonus."""
    return Experiment(
        env=CorridorConfig(length=12, max_episode_steps=60),
        algo=PPO(rollout_length=64, minibatch_size=128, learning_rate=3e-3),
        encoder=MLPConfig(),
        reward=CountRewardConfig(),
        total_env_steps=4_096,
        evaluate_every_env_steps=4_096,
        run_dir=run_dir,
    )


if __name__ == "__main__":
    train(experiment())
