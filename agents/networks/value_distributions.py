"""What a Q network predicts of a return: its expectation, or its distribution on fixed or learnt
values.

Each is a loss between what the network says of (observation, action) and what follows from it;
`outputs` are K numbers an action, in float32. Where the network is asked about probabilities that
are drawn, `levels` (B, K) are these.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

ACTING_LEVELS = 32
"""Quantiles whose mean is what an action is expected to earn (Dabney et al. 2018b, K)."""


class ValueDistribution(Protocol):
    num_outputs: int
    """The network's outputs for an action, or for an action and a level."""

    def levels(self, batch: int, generator: torch.Generator) -> Tensor | None:
        """Levels (B, K) to learn from, drawn anew; None where the network is not asked about
        any."""
        ...

    def acting_levels(self, batch: int, device: torch.device) -> Tensor | None:
        """Levels (B, K) to act by, always the same ones; None where the network is not asked about
        any."""
        ...

    def mean(self, outputs: Tensor) -> Tensor:
        """Outputs (..., K) -> expected returns (...)."""
        ...

    def loss(
        self,
        outputs: Tensor,
        rewards: Tensor,
        discounts: Tensor,
        following: Tensor,
        levels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Losses (B,), and errors (B,) to prioritize by.

        `outputs` (B, K) are of the actions taken; `following` (B, K) of the best actions in the
        observations that came `rewards` (B,) later, worth `discounts` (B,) of what they are."""
        ...


class WithoutLevels:
    """What a network predicts that is not asked about levels."""

    def levels(self, batch: int, generator: torch.Generator) -> Tensor | None:
        return None

    def acting_levels(self, batch: int, device: torch.device) -> Tensor | None:
        return None


class Expectation(WithoutLevels):
    """The mean alone (Mnih et al. 2015): the Huber loss of the temporal difference, which clips its
    gradient."""

    num_outputs = 1

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1)

    def loss(
        self,
        outputs: Tensor,
        rewards: Tensor,
        discounts: Tensor,
        following: Tensor,
        levels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        target = rewards + discounts * following.squeeze(-1)
        values = outputs.squeeze(-1)
        return F.smooth_l1_loss(values, target, reduction="none"), target - values


class CategoricalValues(WithoutLevels):
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
        self,
        outputs: Tensor,
        rewards: Tensor,
        discounts: Tensor,
        following: Tensor,
        levels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The cross-entropy to the projected target; the error is their divergence (Hessel et al.
        2018)."""
        target = self.project(following.softmax(-1), rewards, discounts)
        losses = -(target * outputs.log_softmax(-1)).sum(-1)
        # What is learnt perfectly has no divergence, however uncertain the target is.
        return losses, (losses.detach() + torch.xlogy(target, target).sum(-1)).clamp_min(0)

    def project(self, probabilities: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """The distribution of rewards + discounts * return, each mass shared between its two
        neighbors: (B, K)."""
        support = self.support(probabilities.device)
        moved = (rewards[:, None] + discounts[:, None] * support).clamp(self.low, self.high)
        # How near each of the support's values (second axis) is to each moved one (last axis), 1 to
        # 0.
        distance = (moved[:, None, :] - support[None, :, None]).abs() / self.step
        return ((1 - distance).clamp_min(0) * probabilities[:, None, :]).sum(-1)


class Quantiles(WithoutLevels):
    """Returns of evenly spaced probability, QR-DQN (Dabney et al. 2018)."""

    def __init__(self, num_outputs: int) -> None:
        self.num_outputs = num_outputs

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs.mean(-1)

    def loss(
        self,
        outputs: Tensor,
        rewards: Tensor,
        discounts: Tensor,
        following: Tensor,
        levels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The quantile Huber loss (equation 10), summed over quantiles, a mean over what they are
        compared with."""
        target = rewards[:, None] + discounts[:, None] * following
        return quantile_huber_loss(outputs, target, levels), target.mean(
            -1
        ) - outputs.detach().mean(-1)


class ImplicitQuantiles(Quantiles):
    """Returns of whatever probabilities the network is asked about, IQN (Dabney et al. 2018b)."""

    def __init__(self, num_levels: int) -> None:
        """`num_levels` are drawn to learn from."""
        super().__init__(num_outputs=1)
        self.num_levels = num_levels

    def levels(self, batch: int, generator: torch.Generator) -> Tensor:
        return torch.rand(batch, self.num_levels, generator=generator, device=generator.device)

    def acting_levels(self, batch: int, device: torch.device) -> Tensor:
        return middles(ACTING_LEVELS, device).expand(batch, -1)


def middles(count: int, device: torch.device) -> Tensor:
    """The middles of so many equal parts of [0, 1]: (count,)."""
    return (torch.arange(count, device=device) + 0.5) / count


def quantile_huber_loss(quantiles: Tensor, targets: Tensor, levels: Tensor | None = None) -> Tensor:
    """Losses (...) of quantiles (..., Q) against samples (..., K) (Dabney et al. 2018, equation
    10): summed over quantiles, a mean over samples. They are of the probabilities `levels` (..., Q),
    evenly spaced ones where there are none."""
    if levels is None:
        levels = middles(quantiles.shape[-1], quantiles.device)
    errors = targets[..., None, :] - quantiles[..., :, None]
    huber = F.smooth_l1_loss(
        quantiles[..., :, None].expand_as(errors),
        targets[..., None, :].expand_as(errors),
        reduction="none",
    )
    weight = (levels[..., None] - (errors.detach() < 0).float()).abs()
    return (weight * huber).mean(-1).sum(-1)
