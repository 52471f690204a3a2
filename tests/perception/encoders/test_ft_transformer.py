"""Readings of a record attend to each other."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from perception.settings.encoders import RecordEncoderConfig

SPACE = Box(-1, 1, (5,), np.float32)


def test_a_record_becomes_a_summary_of_all_its_readings() -> None:
    torch.manual_seed(0)
    encoder = RecordEncoderConfig(width=8, heads=2).build(SPACE)
    readings = torch.rand(3, 5)
    features = encoder(readings)
    assert features.shape == (3, encoder.output_dim) == (3, 8)
    for column in range(5):
        changed = readings.clone()
        changed[1, column] += 1
        moved = (encoder(changed) != features).any(1)
        assert moved.tolist() == [False, True, False]


def test_it_learns_what_depends_on_two_readings_together() -> None:
    """Whether two readings have the same sign, which no weighted sum tells."""
    torch.manual_seed(0)
    encoder = RecordEncoderConfig(width=16).build(SPACE)
    head = torch.nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 3e-3)
    readings = torch.rand(512, 5) * 2 - 1
    alike = ((readings[:, 0] > 0) == (readings[:, 3] > 0)).float()
    for _ in range(150):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            head(encoder(readings))[:, 0], alike
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = ((head(encoder(readings))[:, 0] > 0) == (alike > 0)).float().mean()
    assert right > 0.9


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValueError, match="vector of readings"):
        RecordEncoderConfig().build(Box(0, 255, (1, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="multiple of heads"):
        RecordEncoderConfig(width=10).build(SPACE)
