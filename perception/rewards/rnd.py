"""Novelty as a reward: random network distillation (RND; Burda et al. 2019)."""

from typing import Any

import gymnasium
import torch
from torch import Tensor, nn

from perception.encoders.by_space import reader_of
from perception.encoders.mlp import orthogonal
from perception.settings.rewards import NoveltyRewardConfig


class NoveltyReward(nn.Module):
    """Rewards each step for the novelty of the observation in which it was taken.

    What a step leads to is thus rewarded one step later. In place of observations, as in the paper,
    the random network's features are standardized, so that one rule serves images, symbols and
    vectors."""

    mean_error: Tensor
    count: Tensor

    def __init__(self, config: NoveltyRewardConfig, space: gymnasium.Space) -> None:
        super().__init__()
        self.weight = config.weight
        self.learning_rate = config.learning_rate
        self.once_an_episode = config.once_an_episode
        read = reader_of(space)
        self.target = nn.Sequential(read, orthogonal(nn.Linear(read.output_dim, config.features)))
        self.target.requires_grad_(False)
        # Without a momentum, torch keeps the mean over all batches, not a moving one.
        self.standardize = nn.BatchNorm1d(config.features, affine=False, momentum=None)
        read = reader_of(space)
        self.predictor = nn.Sequential(
            read,
            orthogonal(nn.Linear(read.output_dim, 256)),
            nn.ReLU(),
            orthogonal(nn.Linear(256, config.features)),
        )
        self.register_buffer("mean_error", torch.ones((), dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def reward(self, steps: Any) -> Tensor:
        """(B,)"""
        novelty = self.weight * self.errors(steps.observations, learns=False) / self.mean_error
        return novelty * ~steps.repeated if self.once_an_episode else novelty

    def loss(self, steps: Any) -> tuple[Tensor, dict[str, Tensor]]:
        errors = self.errors(steps.observations, learns=True)
        with torch.no_grad():
            # The mean over all steps learnt from so far, by which `reward` divides.
            self.count += len(errors)
            self.mean_error += (errors.mean() - self.mean_error) * len(errors) / self.count
        return errors.mean(), {}

    def errors(self, observations: Any, learns: bool) -> Tensor:
        """Mean squared error of each prediction (B,)."""
        with torch.no_grad():
            # Asking for a reward leaves the statistics as they are.
            self.standardize.train(learns)
            wanted = self.standardize(self.target(observations))
        return ((self.predictor(observations) - wanted) ** 2).mean(1)
