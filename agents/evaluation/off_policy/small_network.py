"""A small network that off-policy evaluation fits to logged steps."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

WIDTH = 64
BATCH = 512
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.1
MAX_ROWS_AT_ONCE = 65_536
MAX_FIELDS = 16


class SmallNetwork(nn.Module):
    """Two hidden layers of 64, with layer normalization, on standardized inputs (N, I) -> (N, O).

    The mean is subtracted in float64: timestamps of 1.7e9 seconds are 128 seconds apart in
    float32."""

    def __init__(self, inputs: NDArray, outputs: int, seed: int) -> None:
        super().__init__()
        spread = inputs.std(0, dtype=np.float64)
        self.mean = torch.from_numpy(inputs.mean(0, dtype=np.float64))
        self.spread = torch.from_numpy(np.where(spread > 1e-6, spread, 1.0))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                *(nn.Linear(inputs.shape[1], WIDTH), nn.LayerNorm(WIDTH), nn.ReLU()),
                *(nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.ReLU()),
                nn.Linear(WIDTH, outputs),
            )
            nn.init.zeros_(self.layers[-1].weight)  # pyright: ignore[reportArgumentType]
            nn.init.zeros_(self.layers[-1].bias)  # pyright: ignore[reportArgumentType]
        self.optimizer = torch.optim.AdamW(
            self.layers.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(((inputs - self.mean) / self.spread).float())

    def descend(self, loss: Callable[[Tensor], Tensor], rows: int, steps: int) -> None:
        """So many gradient steps on the `loss` of rows (B,) drawn from so many."""
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            loss(torch.randint(rows, (min(BATCH, rows),), generator=self.generator)).backward()
            self.optimizer.step()

    @torch.no_grad()
    def read(self, inputs: Tensor) -> Tensor:
        """(N, I) -> (N, O), however many rows."""
        return torch.cat([self(part) for part in inputs.split(MAX_ROWS_AT_ONCE)])


def flat(observations: NDArray, dimensions: int) -> NDArray:
    """Observations whose first so many dimensions are rows, as vectors (..., I) of float32, or of
    float64 where float32 cannot hold all their numbers; of images (C, H, W) the means of at most 16
    by 16 fields, as so small a network and so few rows cannot use more."""
    rows = observations.shape[:dimensions]
    shape = observations.shape[dimensions:]
    if len(shape) != 3:
        exact = np.result_type(observations.dtype, np.float32)
        return observations.reshape(*rows, -1).astype(exact, copy=False)
    channels, *size = shape
    (high, up), (wide, across) = (
        (min(MAX_FIELDS, side), side // min(MAX_FIELDS, side)) for side in size
    )
    whole = observations[..., : high * up, : wide * across]
    fields = whole.reshape(*rows, channels, high, up, wide, across).mean((-3, -1), dtype=np.float32)
    return fields.reshape(*rows, -1)
