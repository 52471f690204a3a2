"""Observations of several parts: whose features come from where."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict

from perception.settings.encoders import ImpalaResNetConfig, MLPConfig, NatureCNNConfig, PartsConfig

SPACE = Dict(
    {"camera": Box(0, 255, (3, 40, 40), np.uint8), "sensors": Box(-1, 1, (5,), np.float32)}
)


def observations(size: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    camera = torch.randint(256, (size, 3, 40, 40), generator=generator, dtype=torch.uint8)
    return {"camera": camera, "sensors": torch.rand(size, 5, generator=generator)}


def test_images_are_read_by_convolutions_and_vectors_taken_as_they_are() -> None:
    encoder, seen = PartsConfig(images=NatureCNNConfig(features=16)).build(SPACE), observations()
    features = encoder(seen)
    assert features.shape == (2, 21)
    assert encoder.output_dim == 21
    torch.testing.assert_close(features[:, 16:], seen["sensors"])
    torch.testing.assert_close(features[:, :16], encoder.torso.encoders[0](seen["camera"]))


def test_each_part_moves_its_own_features_alone() -> None:
    encoder, seen = PartsConfig(vectors=MLPConfig(hidden_sizes=(8,))).build(SPACE), observations()
    before = encoder(seen)
    changed = encoder(seen | {"sensors": seen["sensors"] + 1})
    assert torch.equal(changed[:, :128], before[:, :128])
    assert not torch.equal(changed[:, 128:], before[:, 128:])
    dark = encoder(seen | {"camera": torch.zeros_like(seen["camera"])})
    assert not torch.equal(dark[:, :128], before[:, :128])
    assert torch.equal(dark[:, 128:], before[:, 128:])


def test_all_parts_learn() -> None:
    encoder = PartsConfig(vectors=MLPConfig(hidden_sizes=(8,))).build(SPACE)
    encoder(observations()).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_an_observation_without_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="several parts, not Box"):
        PartsConfig().build(SPACE["camera"])


def test_small_images_are_read_by_convolutions_and_any_name_will_do() -> None:
    space = Dict(
        {"values": Box(0, 255, (3, 12, 16), np.uint8), "a.b": Box(-1, 1, (5,), np.float32)}
    )
    encoder = PartsConfig(small_images=ImpalaResNetConfig(features=16)).build(space)
    seen = {
        "a.b": torch.rand(2, 5),
        "values": torch.randint(256, (2, 3, 12, 16), dtype=torch.uint8),
    }
    assert encoder(seen).shape == (2, 21)
    torch.testing.assert_close(encoder(seen)[:, :5], seen["a.b"])
