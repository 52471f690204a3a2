"""The encoder that suits an observation, for modules that read what the agent reads without being
told how."""

from typing import Any

import gymnasium
from gymnasium.spaces import Box, Dict

from perception.settings.encoders import (
    GridEncoderConfig,
    ImpalaResNetConfig,
    MLPConfig,
    NatureCNNConfig,
    PartsConfig,
)
from perception.spaces import SMALLEST_IMAGE, shows_symbols


def reader_of(space: gymnasium.Space) -> Any:
    """An encoder, itself a `torch.nn.Module` from raw observations (B, ...) to features (B,
    output_dim).

    Raises ValueError where none suits."""
    if isinstance(space, Dict):
        return PartsConfig().build(space)
    if shows_symbols(space):
        return GridEncoderConfig().build(space)
    if isinstance(space, Box) and len(space.shape) == 3:
        large = min(space.shape[1:]) >= SMALLEST_IMAGE
        return NatureCNNConfig().build(space) if large else ImpalaResNetConfig().build(space)
    return MLPConfig(hidden_sizes=(256, 256), activation="relu").build(space)
