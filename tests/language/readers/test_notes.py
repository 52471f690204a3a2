"""Notes are read as text, whatever stands beside them."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from common.text import to_bytes
from language.settings.encoders import NoteEncoderConfig, ReaderConfig

SPACE = Box(0, 255, (64,), np.uint8)


def notes(*texts: str) -> torch.Tensor:
    return torch.from_numpy(np.stack([to_bytes(text, 64) for text in texts]))


def test_the_same_note_has_the_same_features_and_another_one_others() -> None:
    torch.manual_seed(0)
    encoder = NoteEncoderConfig(ReaderConfig(width=16), features=8).build(SPACE)
    features = encoder(notes("lactate high", "pH low", "lactate high"))
    assert features.shape == (3, 8)
    assert encoder.output_dim == 8
    torch.testing.assert_close(features[0], features[2])
    assert (features[0] != features[1]).any()


def test_it_learns_to_tell_high_from_low() -> None:
    torch.manual_seed(0)
    encoder = NoteEncoderConfig(ReaderConfig(width=16, kind="mean"), features=8).build(SPACE)
    head = torch.nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 1e-2)
    told, high = (
        notes("lactate high", "lactate low", "pH high", "pH low"),
        torch.tensor([1.0, 0, 1, 0]),
    )
    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(encoder(told))[:, 0], high)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (
        (head(encoder(notes("SOFA high", "SOFA low")))[:, 0] > 0) == torch.tensor([True, False])
    ).all()


@pytest.mark.parametrize("space", [Box(-1, 1, (64,), np.float32), Box(0, 255, (3, 8, 8), np.uint8)])
def test_what_is_no_text_is_refused(space: Box) -> None:
    with pytest.raises(ValueError, match=r"reads text in UTF-8, as --env\.notes gives it"):
        NoteEncoderConfig().build(space)
