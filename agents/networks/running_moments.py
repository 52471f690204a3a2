"""Running mean and variance, kept as buffers so that they are saved and synchronized as weights
are."""

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

WIDE = {torch.float64, torch.int64, torch.int32, torch.uint64, torch.uint32}
"""Dtypes with numbers that float32 cannot tell apart."""
FEW = 4_096
"""Numbers that are standardized in float64 sooner than in several steps of float32."""
MAX_DEVIATIONS = 10.0


class RunningMoments(nn.Module):
    """Mean and variance of everything seen so far, merged batch by batch (Chan et al. 1979).

    Numbers keep their own precision until the mean is subtracted: a second of a timestamp of 1.7e9
    seconds is lost in float32, whose numbers are 128 apart there."""

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
        # Differences from one of the numbers, so that large numbers that are close lose no digits.
        differences = batch - batch[0]
        mean = differences.mean(0)
        variance = differences.sub_(mean).square_().mean(0)
        moments = torch.stack([mean + batch[0], variance, torch.full_like(mean, len(batch))])
        for mean, variance, size in everybodys(moments):
            self._merge(mean, variance, size.flatten()[0])

    def get_state(self) -> dict[str, np.ndarray]:
        return {name: value.cpu().numpy().copy() for name, value in self.state_dict().items()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})

    def _merge(self, mean: Tensor, variance: Tensor, size: Tensor) -> None:
        """Adds the moments (*shape) of so many further numbers."""
        total = self.count + size
        delta = mean - self.mean
        spread = self.variance * self.count + variance * size
        self.variance.copy_((spread + delta**2 * self.count * size / total) / total)
        self.mean.add_(delta * size / total)
        self.count.copy_(total)

    @property
    def deviation(self) -> Tensor:
        """Standard deviation, float64; 1 where nothing varies yet."""
        return self.variance.where(self.variance > 1e-12, 1.0).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        """Standardized and cut off at ten deviations, float32."""
        if x.dtype in WIDE or x.numel() < FEW:
            standardized = (x.double() - self.mean).float().div_(self.deviation.float())
        else:
            # As precise, at float32's speed: the mean as a float32 and what that lacks of it.
            mean = self.mean.float()
            scale = 1.0 / self.deviation
            lacks = ((mean - self.mean) * scale).float()
            standardized = torch.addcmul(lacks, x.float() - mean, scale.float())
        return standardized.clamp_(-MAX_DEVIATIONS, MAX_DEVIATIONS)


def everybodys(moments: Tensor) -> list[Tensor]:
    """The moments of each learner, in the same order for all of them."""
    if not dist.is_initialized():
        return [moments]
    gathered = [torch.empty_like(moments) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, moments)
    return gathered
