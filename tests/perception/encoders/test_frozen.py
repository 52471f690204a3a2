"""What frozen modules are asked, and how often."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from perception.encoders.frozen import MAX_REMEMBERED, Frozen, fingerprints


class Means(nn.Module):
    """Each frame's mean, and how many were ever looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_at, self.norm = 0, nn.BatchNorm2d(1)

    def forward(self, frames: Tensor) -> Tensor:
        self.looked_at += len(frames)
        return frames.float().mean((1, 2, 3))


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_it_tells_of_every_frame_what_the_module_would(data: st.DataObject) -> None:
    frozen = Frozen(Means(), frames=2)
    for _ in range(3):
        size = data.draw(st.integers(1, 90))
        shades = torch.tensor(
            data.draw(st.lists(st.integers(0, 5), min_size=3 * size, max_size=3 * size))
        )
        images = shades.view(size, 3, 1, 1).expand(size, 3, 4, 4).to(torch.uint8)
        torch.testing.assert_close(frozen(images), shades.view(size, 3)[:, 1:].float())
    assert frozen.module.looked_at <= 6  # there are no more frames than that


def test_a_frame_that_is_acted_by_is_not_looked_at_again_to_learn_from_it() -> None:
    frozen, film = Frozen(Means(), frames=2), torch.randint(256, (6, 3, 8, 8), dtype=torch.uint8)
    stacks = [torch.stack([film[t], film[t + 1]], 1) for t in range(5)]  # of three environments
    acted = torch.stack([frozen(stack) for stack in stacks])
    learnt = frozen(torch.cat(stacks))
    assert frozen.module.looked_at == 6 * 3
    torch.testing.assert_close(learnt, acted.flatten(0, 1))


def test_it_forgets_the_oldest_frames() -> None:
    frozen = Frozen(Means(), frames=1)
    numbers = torch.arange(MAX_REMEMBERED + 10)
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8).view(-1, 1, 1, 2)
    frozen(images)
    assert len(frozen.known) == MAX_REMEMBERED
    frozen(images[-1:])
    assert frozen.module.looked_at == len(images)
    frozen(images[:1])
    assert frozen.module.looked_at == len(images) + 1


def test_a_module_that_moves_looks_anew() -> None:
    frozen, images = Frozen(Means(), frames=1), torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    frozen(images)
    frozen.to(torch.float64)  # as to a GPU
    frozen(images)
    assert frozen.module.looked_at == 2


def test_it_never_trains_and_has_nothing_to_learn() -> None:
    frozen = nn.Sequential(Frozen(Means(), frames=1)).train()
    assert not frozen[0].module.norm.training
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_frames_that_differ_in_one_pixel_or_in_their_order_are_told_apart() -> None:
    frames = torch.zeros(3 * 49 + 1, 7, 7, dtype=torch.uint8)
    for n, value in enumerate((1, 128, 255)):
        frames.view(-1, 49)[n * 49 : (n + 1) * 49].fill_diagonal_(value)
    assert len(fingerprints(frames).unique()) == len(frames)
