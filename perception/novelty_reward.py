"""Novelty as a reward: random network distillation (RND; Burda et al. 2019)."""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception.mlp import orthogonal
from perception.readers import reader_of


@dataclass(frozen=True)
class NoveltyRewardConfig:
    """The agent is rewarded for what it has seldom seen: for how badly a network predicts what another one, which is
    random and stays so, makes of an observation."""

    weight: float = 0.004
    """What a step's novelty counts, which is 1 on average over the whole run. An episode's novelty must stay below what
    the environment pays for success, or it does not pay to end one."""
    environment_weight: float = 1.0
    """What the environment's reward counts."""
    learning_rate: float = 1e-4
    """Adam's step size for the network that predicts."""
    once_an_episode: bool = True
    """Reward an observation when an episode first comes to it, so that it does not pay to stay (Zhang et al. 2021,
    episodic restriction). That is known within a rollout; steps that are drawn from a replay are all rewarded."""
    features: int = 64
    """How many numbers it predicts."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "features"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}.")

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return rewards * np.float32(self.environment_weight)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> "NoveltyReward":
        return NoveltyReward(self, observation_space)


class NoveltyReward(nn.Module):
    """Rewards each step for the novelty of the observation in which it was taken.

    What a step leads to is thus rewarded one step later. In place of observations, as in the paper, the random
    network's features are standardised, so that one rule serves images, symbols and vectors."""

    mean_error: Tensor
    count: Tensor

    def __init__(self, config: NoveltyRewardConfig, space: gymnasium.Space) -> None:
        super().__init__()
        self.weight, self.learning_rate = config.weight, config.learning_rate
        self.once_an_episode = config.once_an_episode
        read = reader_of(space)
        self.target = nn.Sequential(read, orthogonal(nn.Linear(read.output_dim, config.features)))
        self.target.requires_grad_(False)
        self.standardise = nn.BatchNorm1d(config.features, affine=False, momentum=None)
        read = reader_of(space)
        self.predictor = nn.Sequential(
            read,
            orthogonal(nn.Linear(read.output_dim, 256)),
            nn.ReLU(),
            orthogonal(nn.Linear(256, config.features)),
        )
        self.register_buffer("mean_error", torch.ones(()))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def reward(self, steps: Any) -> Tensor:
        """(B,)"""
        novelty = self.weight * self.errors(steps.observations, learns=False) / self.mean_error
        return novelty * ~steps.repeated if self.once_an_episode else novelty

    def loss(self, steps: Any) -> tuple[Tensor, dict[str, Tensor]]:
        errors = self.errors(steps.observations, learns=True)
        with torch.no_grad():
            self.count += len(errors)
            self.mean_error += ((errors.mean() - self.mean_error) * len(errors) / self.count).float()
        return errors.mean(), {}

    def errors(self, observations: Any, learns: bool) -> Tensor:
        """Mean squared error of each prediction (B,)."""
        with torch.no_grad():
            self.standardise.train(learns)
            wanted = self.standardise(self.target(observations))
        return ((self.predictor(observations) - wanted) ** 2).mean(1)
