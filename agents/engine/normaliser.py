"""Running mean and variance, kept as buffers so that they are saved and synchronised as weights are."""

import torch
import torch.distributed as dist
from torch import Tensor, nn


class RunningMoments(nn.Module):
    """Mean and variance of everything seen so far, merged batch by batch (Chan et al. 1979)."""

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, batch: Tensor) -> None:
        """Takes in a batch (B, *shape); with several learners, everybody's batch."""
        batch = batch.double()
        sums = torch.stack([batch.sum(0), (batch**2).sum(0), torch.full_like(batch[0], len(batch))])
        if dist.is_initialized():
            dist.all_reduce(sums)
        size = sums[2].flatten()[0]
        mean = sums[0] / size
        variance = (sums[1] / size - mean**2).clamp_min(0.0)
        total = self.count + size
        delta = mean - self.mean
        spread = self.variance * self.count + variance * size
        self.variance.copy_((spread + delta**2 * self.count * size / total) / total)
        self.mean.add_(delta * size / total)
        self.count.copy_(total)

    @property
    def deviation(self) -> Tensor:
        """Standard deviation, float32; 1 where nothing varies yet."""
        return self.variance.where(self.variance > 1e-12, 1.0).sqrt().float()

    def forward(self, x: Tensor) -> Tensor:
        """Standardised and cut off at ten deviations, float32."""
        return ((x.float() - self.mean.float()) / self.deviation).clamp(-10.0, 10.0)
