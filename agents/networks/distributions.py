"""Policies over actions, as functions of the network's raw output; everything in float32.

Plain functions instead of torch.distributions: no objects and no validation in the hot loop.
"""

import math
from typing import Protocol

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from common.spaces import in_words


class Distribution(Protocol):
    """What an algorithm needs of a policy's action distribution.

    `parameters` (B, num_parameters) is the network's output; actions are (B,) int64 or (B, action)
    float32, in the network's units (`ActionScaling`); log-probabilities and entropies are (B,), in
    nats, of densities over these units.
    """

    num_parameters: int

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor: ...
    def mode(self, parameters: Tensor) -> Tensor: ...
    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor: ...
    def entropy(self, parameters: Tensor) -> Tensor: ...


class Categorical:
    """One of n actions; the parameters are n logits."""

    def __init__(self, space: Discrete) -> None:
        self.num_parameters = int(space.n)

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        # The largest of logit + Gumbel noise is a draw from the softmax (Gumbel 1954).
        noise = torch.empty_like(parameters).exponential_(generator=generator)
        return (parameters - noise.log_()).argmax(-1)

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.argmax(-1)

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        return parameters.log_softmax(-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        log_probs = parameters.log_softmax(-1)
        return -(log_probs.exp() * log_probs).sum(-1)


class DiagonalGaussian:
    """A real vector; the parameters are the means, then the logarithms of the deviations."""

    def __init__(self, space: Box) -> None:
        self.num_parameters = 2 * math.prod(space.shape)

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        mean, log_std = parameters.chunk(2, -1)
        noise = torch.empty_like(mean).normal_(generator=generator)
        return mean + log_std.exp() * noise

    def mode(self, parameters: Tensor) -> Tensor:
        return parameters.chunk(2, -1)[0]

    def log_prob(self, parameters: Tensor, actions: Tensor) -> Tensor:
        mean, log_std = parameters.chunk(2, -1)
        standardized = (actions - mean) * (-log_std).exp()
        return (-0.5 * standardized**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        log_std = parameters.chunk(2, -1)[1]
        return (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


def squashed_gaussian(mean: Tensor, std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions (B, A) in [-1, 1], the tanh of a Gaussian's draw by standard normal `noise` (B, A),
    and their log-probabilities (B,) (Haarnoja et al. 2018, appendix C)."""
    raw = mean + std * noise
    log_probs = -0.5 * noise.square() - std.log() - 0.5 * math.log(2 * math.pi)
    # log(1 - tanh(x)^2), without the loss of digits where tanh is near 1.
    log_slopes = 2 * (math.log(2) - raw - F.softplus(-2 * raw))
    return raw.tanh(), (log_probs - log_slopes).sum(-1)


def distribution_for(space: gymnasium.Space) -> Distribution:
    """The distribution over an action space; raises ValueError where there is none."""
    if isinstance(space, Discrete) and space.start == 0:
        return Categorical(space)
    if isinstance(space, Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating):
        return DiagonalGaussian(space)
    raise ValueError(
        f"Actions must be Discrete from 0, or a one-dimensional Box of real numbers, not {in_words(space)}."
    )
