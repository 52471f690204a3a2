"""Batch renormalization (Ioffe 2017): batch normalization whose outputs in training are those that
it will have afterwards, but for the batch's own variation within limits."""

import torch
from torch import Tensor, nn

EPSILON = 1e-3
RATE = 0.01
"""How far the running moments move towards a batch's."""
PLAIN_BATCHES = 100_000
"""Batches until the running moments are relied on (as in sb3-contrib's CrossQ); until then it is
batch normalization (Ioffe and Szegedy 2015)."""
MAX_SCALE = 3.0
"""The most by which a batch's standard deviation may differ from the running one, as a factor (r)."""
MAX_SHIFT = 5.0
"""The most by which a batch's mean may differ from the running one, in standard deviations (d)."""


class BatchRenorm(nn.Module):
    """(B, F) -> (B, F), each feature with a learnt scale and shift.

    With `learning`, by the moments of the batch, which the running ones then follow; without, by
    the running moments."""

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features))
        self.shift = nn.Parameter(torch.zeros(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, x: Tensor, learning: bool) -> Tensor:
        x = x.float()  # moments have more digits than bfloat16 holds
        if not learning:
            return self.scale * (x - self.mean) * (self.variance + EPSILON).rsqrt() + self.shift
        variance, mean = torch.var_mean(x, 0, correction=0)
        std = (variance + EPSILON).sqrt()
        with torch.no_grad():
            running_std = (self.variance + EPSILON).sqrt()
            scale = (std / running_std).clamp(1 / MAX_SCALE, MAX_SCALE)
            shift = ((mean - self.mean) / running_std).clamp(-MAX_SHIFT, MAX_SHIFT)
            plain = self.batches < PLAIN_BATCHES
            scale = torch.where(plain, 1.0, scale)
            shift = torch.where(plain, 0.0, shift)
            self.mean.lerp_(mean, RATE)
            self.variance.lerp_(variance, RATE)
            self.batches.add_(1)
        return self.scale * ((x - mean) / std * scale + shift) + self.shift
