"""Default encoders by observation space, for environments that no recipe names."""

import gymnasium
from gymnasium.spaces import Box, Dict

from agents.environments import opened
from agents.interfaces import Encoder, Environment
from common.spaces import without_mask
from envs.atari import games as atari
from perception.settings.encoders import ImpalaResNetConfig, MLPConfig, NatureCNNConfig, PartsConfig
from perception.spaces import SMALLEST_IMAGE

EXACT = 2**24
"""Integers up to this size are exact as float32."""


def observation_space(environment: Environment) -> gymnasium.Space:
    """What encoders read of an environment's observations; it is built to know that. All of Atari's
    games have the same."""
    if isinstance(environment, atari.AtariConfig):
        return atari.OBSERVATION_SPACE
    with opened(environment) as env:
        return without_mask(env.observation_space)


def sees_images(space: gymnasium.Space) -> bool:
    """Whether an observation is an image (channels, height, width), or has one among its parts."""
    if isinstance(space, Dict):
        return any(map(sees_images, space.spaces.values()))
    return len(space.shape or ()) == 3


def encoder_for(space: gymnasium.Space, vectors: MLPConfig) -> Encoder:
    """Convolutions for an image, an encoder for each part where an image is one of several, else
    `vectors`."""
    if not sees_images(space):
        return vectors
    if isinstance(space, Dict):
        return PartsConfig()
    _, height, width = space.shape  # pyright: ignore[reportGeneralTypeIssues]
    return NatureCNNConfig() if min(height, width) >= SMALLEST_IMAGE else ImpalaResNetConfig()


def has_large_integers(space: gymnasium.Space) -> bool:
    """Whether an observation has integers whose last digits are lost in float32."""
    if isinstance(space, Dict):
        return any(map(has_large_integers, space.spaces.values()))
    integers = isinstance(space, Box) and space.dtype is not None and space.dtype.kind in "iu"
    return integers and max(-int(space.low.min(initial=0)), int(space.high.max(initial=0))) > EXACT  # pyright: ignore
