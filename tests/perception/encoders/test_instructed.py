"""Grids in the light of an instruction."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict
from torch import nn

from perception.encoders.instructed import CrossAttention, FiLM
from perception.settings.encoders import InstructedEncoderConfig

SPACE = Dict(
    {
        "image": Box(
            np.zeros((3, 7, 7), np.uint8), np.full((3, 7, 7), 9, np.uint8), dtype=np.uint8
        ),
        "mission": Box(0, 255, (8,), np.uint8),
    }
)
FUSIONS = pytest.mark.parametrize("fusion", ["film", "cross-attention"])


class Letters(nn.Module):
    """A word for each byte."""

    output_dim = 8

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Embedding(256, 8)

    def forward(self, sentences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        words = self.vectors(sentences.long())
        return words, sentences > 0, words.mean(1)


@dataclass(frozen=True)
class LettersConfig:
    def build(self) -> Letters:
        return Letters()


def observations(size: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.randint(0, 9, (size, 3, 7, 7), generator=generator, dtype=torch.uint8),
        "mission": torch.randint(1, 255, (size, 8), generator=generator, dtype=torch.uint8),
    }


@FUSIONS
def test_features_depend_on_both(fusion: Any) -> None:
    torch.manual_seed(0)
    encoder = InstructedEncoderConfig(LettersConfig(), fusion).build(SPACE)
    seen = observations(2)
    features = encoder(seen)
    assert features.shape == (2, encoder.output_dim)
    for part in seen:
        other = seen | {part: seen[part].flip(0)}
        assert not torch.allclose(features, encoder(other), atol=1e-4), part


@FUSIONS
def test_it_learns_what_neither_tells_alone(fusion: Any) -> None:
    """Whether the kind in the middle square is what the instruction's letters name."""
    torch.manual_seed(0)
    encoder = InstructedEncoderConfig(LettersConfig(), fusion, channels=16, features=32).build(
        SPACE
    )
    head = nn.Linear(32, 1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 3e-3)
    right = torch.tensor(0.0)
    for _ in range(160):
        seen = observations(128)
        seen["image"][:, 0, 3, 3] = torch.randint(1, 4, (128,), dtype=torch.uint8)
        seen["mission"][:] = torch.randint(1, 4, (128, 1), dtype=torch.uint8)
        same = seen["image"][:, 0, 3, 3] == seen["mission"][:, 0]
        scores = head(encoder(seen))[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(scores, same.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = ((scores > 0) == same).float().mean()
    assert right > 0.9  # saying never is right in two of three


def test_film_scales_and_shifts_each_channel() -> None:
    film = FiLM(channels=2, width=1)
    with torch.no_grad():
        film.says.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [5.0]]))
        film.says.bias.zero_()
    maps = torch.ones(1, 2, 1, 1)
    lit = film(
        maps, torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), torch.tensor([[2.0]])
    )
    assert lit.flatten().tolist() == [3.0, 11.0]  # 1 * (1 + 2) + 0, 1 * (1 + 0) + 10


def test_what_is_no_word_is_not_heard() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(channels=4, width=3)
    maps, words = torch.randn(1, 4, 2, 2), torch.randn(1, 2, 3)
    heard = torch.tensor([[True, False]])
    one = attention(maps, words, heard, words[:, 0])
    words[:, 1] += 10.0
    torch.testing.assert_close(one, attention(maps, words, heard, words[:, 0]))


def test_other_observations_are_refused() -> None:
    with pytest.raises(ValueError, match="reads a grid's image and mission"):
        InstructedEncoderConfig(LettersConfig()).build(SPACE["image"])
