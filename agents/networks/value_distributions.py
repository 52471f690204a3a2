"""What a Q network predicts of a return: its expectation, or its distribution on fixed or learnt
values.

Each is a loss between what the network says of (observation, action) and what follows from it;
`outputs` are K numbers an action, in float32.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class ValueDistribution(Protocol):
    num_outputs: int
    """K, the network's outputs for an action."""

    def mean(self, outputs: Tensor) -> Tensor:
        """Outputs (..., K) -> expected returns (...)."""
        ...

    def loss(
        self, outputs: Tensor, rewards: Tensor, discounts: Tensor, following: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Losses (B,), and errors (B,) to prioritise by.

        `outputs` (B, K) are of the actions taken; `following` (B, K) of the best actions in the
        observations that came `rewards` (B,) later, worth `discounts` (B,) of what they are."""
        ...


class Expectation:
    """The mean alone (Mnih et al. 2015): the Huber loss of the temporal difference, which clips its
    gradient."""

    num_outputs = 1

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1)

    def loss(
        self, outputs: Tensor, rewards: Tensor, discounts: Tensor, following: Tensor
    ) -> tuple[Tensor, Tensor]:
        target = rewards + discounts * following.squeeze(-1)
        values = outputs.squeeze(-1)
        return F.smooth_l1_loss(values, target, reduction="none"), target - values


class Categorical:
    """Probabilities of evenly spaced returns, C51 (Bellemare et al. 2017)."""

    def __init__(self, num_outputs: int, low: float, high: float) -> None:
        self.num_outputs = num_outputs
        self.low = low
        self.high = high
        self.step = (high - low) / (num_outputs - 1)

    def support(self, device: torch.device) -> Tensor:
        """The returns (K,) whose probabilities are predicted, from `low` to `high`."""
        return torch.linspace(self.low, self.high, self.num_outputs, device=device)

    def mean(self, outputs: Tensor) -> Tensor:
        return (outputs.softmax(-1) * self.support(outputs.device)).sum(-1)

    def loss(
        self, outputs: Tensor, rewards: Tensor, discounts: Tensor, following: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The cross-entropy to the projected target; the error is their divergence (Hessel et al.
        2018)."""
        target = self.project(following.softmax(-1), rewards, discounts)
        losses = -(target * outputs.log_softmax(-1)).sum(-1)
        # What is learnt perfectly has no divergence, however uncertain the target is.
        return losses, (losses.detach() + torch.xlogy(target, target).sum(-1)).clamp_min(0)

    def project(self, probabilities: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """The distribution of rewards + discounts * return, each mass shared between its two
        neighbours: (B, K)."""
        support = self.support(probabilities.device)
        moved = (rewards[:, None] + discounts[:, None] * support).clamp(self.low, self.high)
        # How near each of the support's values (second axis) is to each moved one (last axis), 1 to
        # 0.
        distance = (moved[:, None, :] - support[None, :, None]).abs() / self.step
        return ((1 - distance).clamp_min(0) * probabilities[:, None, :]).sum(-1)


class Quantiles:
    """Returns of evenly spaced probability, QR-DQN (Dabney et al. 2018)."""

    def __init__(self, num_outputs: int) -> None:
        self.num_outputs = num_outputs

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs.mean(-1)

    def loss(
        self, outputs: Tensor, rewards: Tensor, discounts: Tensor, following: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The quantile Huber loss (equation 10), summed over quantiles, a mean over what they are
        compared with."""
        target = rewards[:, None] + discounts[:, None] * following
        return quantile_huber_loss(outputs, target), target.mean(-1) - outputs.detach().mean(-1)


def quantile_huber_loss(quantiles: Tensor, targets: Tensor) -> Tensor:
    """Losses (...) of quantiles (..., Q) of evenly spaced probability against samples (..., K)
    (Dabney et al. 2018, equation 10): summed over quantiles, a mean over samples."""
    count = quantiles.shape[-1]
    errors = targets[..., None, :] - quantiles[..., :, None]
    huber = F.smooth_l1_loss(
        quantiles[..., :, None].expand_as(errors),
        targets[..., None, :].expand_as(errors),
        reduction="none",
    )
    middles = (torch.arange(count, device=quantiles.device) + 0.5) / count
    weight = (middles[:, None] - (errors.detach() < 0).float()).abs()
    return (weight * huber).mean(-1).sum(-1)
