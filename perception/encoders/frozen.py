"""Modules in agents that see single frames and stay as they are: trained before, or with nothing to
learn."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

FRAMES_AT_A_TIME = 64
MAX_REMEMBERED = (
    4_096  # frames; what an update learns from was acted by before, if it is no longer than this
)
MAX_BYTES = 1 << 28  # of what was seen in them


class Frozen(nn.Module):
    """The newest frames of images (B, C, H, W) uint8 as `module` sees each: (B, frames, ...).

    A frame that comes again soon is not looked at again: observations overlap, and what an agent
    acted by it learns from. `module` makes (M, ...) of frames (M, 1, H, W) uint8, each for itself,
    and is never in training mode."""

    def __init__(self, module: nn.Module, frames: int) -> None:
        super().__init__()
        self.module = module.requires_grad_(False).eval()
        self.frames = frames
        self.known: dict[int, Tensor] = {}
        """By what tells frames apart, the oldest first."""

    def train(self, mode: bool = True) -> Any:
        return super().train(False)  # its statistics stay as they were

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self.known.clear()  # what was seen lies where the module was
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self.known.clear()  # other weights see other things
        super()._load_from_state_dict(*arguments)

    def forward(self, images: Tensor) -> Tensor:
        newest = images[:, -self.frames :].flatten(0, 1)
        names = [
            name for part in newest.split(FRAMES_AT_A_TIME) for name in fingerprints(part).tolist()
        ]
        # A frame that is in the batch several times is looked at once.
        new = list({name: row for row, name in enumerate(names) if name not in self.known}.items())
        for start in range(0, len(new), FRAMES_AT_A_TIME):
            part = dict(new[start : start + FRAMES_AT_A_TIME])
            with torch.no_grad():
                told = self.module(newest[list(part.values())][:, None])
            self.known.update(zip(part, told, strict=True))
        seen = torch.stack([self.known[name] for name in names])
        most = min(MAX_REMEMBERED, MAX_BYTES // (seen[0].numel() * seen.element_size()))
        # After `seen` is taken, as one batch may have more frames than are kept.
        while len(self.known) > most:
            del self.known[next(iter(self.known))]
        return seen.unflatten(0, (len(images), -1))


def fingerprints(frames: Tensor) -> Tensor:
    """A number (M,) of each frame uint8 (M, H, W), another one for another frame but by rare
    accident: its pixels' sum with odd weights, modulo 2^64 (Carter and Wegman 1979)."""
    pixels = frames.flatten(1).long()
    return (pixels * odd_numbers(pixels.shape[1]).to(frames.device)).sum(1)


@cache
def odd_numbers(size: int) -> Tensor:
    """`size` odd int64 numbers, drawn with `size` as the seed and so always the same."""
    generator = torch.Generator().manual_seed(size)
    return torch.randint(-(2**62), 2**62, (size,), generator=generator) * 2 + 1
