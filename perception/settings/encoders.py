"""Settings of the encoders that see; each `build()` imports its network, so that reading settings
needs no torch."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, runtime_checkable

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict

from common.ranges import (
    Count,
    Positive,
    Range,
    Size,
    SizeOrZero,
    check_ranges,
)
from common.spaces import in_words
from perception.spaces import MAX_SYMBOLS, SMALLEST_IMAGE, image_shape, is_image, shows_symbols

if TYPE_CHECKING:
    from perception.classical.filters import FilteredEncoder
    from perception.encoders.cnn import ImpalaResNet, NatureCNN
    from perception.encoders.dict_observations import DictEncoder
    from perception.encoders.ft_transformer import RecordEncoder
    from perception.encoders.grid import GridEncoder
    from perception.encoders.instructed import InstructedEncoder
    from perception.encoders.mlp import MLP

Channels = Annotated[int, Range(1, 1_024)]
"""A number of channels of a convolution."""
FilterName = Literal["none", "gaussian", "median", "non-local-means", "fourier", "wavelet"]


@dataclass(frozen=True)
class MLPConfig:
    """Fully connected layers, for observations that are vectors, or several of them by name."""

    hidden_sizes: tuple[Size, ...] = (64, 64)
    """Width of each layer."""
    activation: Literal["tanh", "relu", "silu"] = "tanh"
    """Nonlinearity between layers; tanh for policies (Andrychowicz et al. 2021, choice C55)."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "MLP":
        from perception.encoders.mlp import MLP

        parts = (
            observation_space.spaces.values()
            if isinstance(observation_space, Dict)
            else [observation_space]
        )
        sizes = [int(np.prod(part.shape or (0,))) if isinstance(part, Box) else 0 for part in parts]
        if not all(sizes):
            raise ValueError(f"An MLP reads vectors, not {in_words(observation_space)}.")
        if isinstance(observation_space, Dict) and any(
            len(part.shape or ()) == 3 for part in parts
        ):
            raise ValueError(
                "An MLP reads vectors, and one part of these observations is an image; use "
                "--encoder parts."
            )
        if is_image(observation_space):
            raise ValueError(
                "An MLP reads vectors, and these observations are images; use --encoder nature."
            )
        return MLP(self, sum(sizes))


@dataclass(frozen=True)
class NatureCNNConfig:
    """Three convolutions and a dense layer, for stacks of images of 36x36 pixels or more (Mnih et
    al. 2015)."""

    features: SizeOrZero = 512
    """Width of the dense layer; 0 leaves it out, for heads that begin with one of their own."""
    layer_norm: bool = False
    """Normalize the numbers of each layer before its ReLU (Ba et al. 2016; Gallici et al. 2024)."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "NatureCNN":
        from perception.encoders.cnn import NatureCNN, pixels

        channels, height, width = image_shape(observation_space, SMALLEST_IMAGE, reals=True)
        return NatureCNN(self, channels, height, width, pixels(observation_space))


@dataclass(frozen=True)
class ImpalaResNetConfig:
    """Three stages of residual blocks, the large network of IMPALA (Espeholt et al. 2018)."""

    channels: tuple[Channels, ...] = (16, 32, 32)
    """Channels of each stage; each stage halves the image."""
    features: SizeOrZero = 256
    """Width of the dense layer; 0 leaves it out."""
    spectral_norm: bool = False
    """Divide the weights of each residual block's convolutions by their largest singular value
    (Miyato et al. 2018; Schmidt and Schmied 2021)."""
    pooled_size: SizeOrZero = 0
    """Height and width that the last maps are pooled to, so that the dense layer is smaller; 0
    leaves them as they are (Schmidt and Schmied 2021, 6)."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "ImpalaResNet":
        from perception.encoders.cnn import ImpalaResNet, pixels

        channels, height, width = image_shape(
            observation_space, 2 ** len(self.channels), reals=True
        )
        return ImpalaResNet(self, channels, height, width, pixels(observation_space))


@dataclass(frozen=True)
class PartsConfig:
    """A convolutional network for each image among an observation's parts, fully connected layers
    for all others."""

    images: NatureCNNConfig = field(default_factory=lambda: NatureCNNConfig(features=128))
    """Reads each image (channels, height, width) of 36x36 pixels or more."""
    small_images: ImpalaResNetConfig = field(
        default_factory=lambda: ImpalaResNetConfig(features=128)
    )
    """Reads each smaller image."""
    vectors: MLPConfig = field(default_factory=lambda: MLPConfig(hidden_sizes=()))
    """Reads each vector; without hidden layers they are taken as they are."""

    def build(self, observation_space: gymnasium.Space) -> "DictEncoder":
        from perception.encoders.dict_observations import DictEncoder

        if not isinstance(observation_space, Dict):
            raise ValueError(
                f"This encoder reads observations of several parts, not {in_words(observation_space)}."
            )
        return DictEncoder(
            {name: self.reader(part).build(part) for name, part in observation_space.spaces.items()}
        )

    def reader(self, part: gymnasium.Space) -> NatureCNNConfig | ImpalaResNetConfig | MLPConfig:
        """The encoder that reads a part."""
        shape = part.shape or ()
        if len(shape) != 3:
            return self.vectors
        return self.images if min(shape[1:]) >= SMALLEST_IMAGE else self.small_images


@dataclass(frozen=True)
class GridEncoderConfig:
    """Symbols as planes of zeros and ones, two convolutions and a dense layer."""

    channels: tuple[Channels, ...] = (32, 64)
    """Channels of each 3x3 convolution."""
    features: Size = 128
    """Width of the dense layer."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "GridEncoder":
        from perception.encoders.grid import GridEncoder

        if not (isinstance(observation_space, Box) and shows_symbols(observation_space)):
            raise ValueError(
                f"This encoder reads grids of symbols, uint8 (channels, height, width) below "
                f"{MAX_SYMBOLS}, not "
                f"{observation_space.shape} {observation_space.dtype}; --encoder nature reads "
                "images."
            )
        return GridEncoder(self, observation_space)


@runtime_checkable
class Reader(Protocol):
    """A frozen dataclass that describes what reads instructions."""

    def build(self) -> Any:
        """A `torch.nn.Module` with `output_dim` D, from sentences in UTF-8 (B, L) uint8 to word
        vectors (B, W, D), which of them are words (B, W) bool, and sentence vectors (B, D).

        Raises ValueError, in one line, where it cannot be had."""
        ...


@dataclass(frozen=True)
class InstructedEncoderConfig:
    """Symbols through two convolutions, each in the light of the instruction, and a dense layer
    that sees both."""

    reader: Reader
    """Reads the instruction."""
    fusion: Literal["film", "cross-attention"] = "film"
    """How the instruction bears on what is seen."""
    channels: Channels = 64
    """Channels of each 3x3 convolution."""
    features: Size = 128
    """Width of the dense layer."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "InstructedEncoder":
        from perception.encoders.instructed import HEADS, InstructedEncoder

        if self.channels % HEADS:
            raise ValueError(f"channels must be a multiple of {HEADS}, not {self.channels}.")
        parts = observation_space.spaces if isinstance(observation_space, Dict) else {}
        if not ("image" in parts and "mission" in parts and shows_symbols(parts["image"])):
            raise ValueError(
                "This encoder reads a grid's image and mission, as LanguageGoToLocal has them, "
                f"not {', '.join(parts) or observation_space.shape}; --encoder grid reads symbols "
                "alone."
            )
        return InstructedEncoder(self, parts["image"])


@dataclass(frozen=True)
class RecordEncoderConfig:
    """Each reading becomes a vector of its own, and a Transformer relates them; for vectors of tens
    of readings."""

    width: Annotated[int, Range(1, 1_024)] = 32
    """Numbers a reading becomes."""
    layers: Annotated[int, Range(1, 32)] = 1
    """Of the Transformer."""
    heads: Count = 4
    """Of its attention."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "RecordEncoder":
        from perception.encoders.ft_transformer import RecordEncoder

        if self.width % self.heads:
            raise ValueError(
                f"width must be a multiple of heads, not {self.width} and {self.heads}."
            )
        if not isinstance(observation_space, Box) or len(observation_space.shape) != 1:
            raise ValueError(
                f"A record is a vector of readings, not {in_words(observation_space)}."
            )
        return RecordEncoder(self, observation_space.shape[0])


@dataclass(frozen=True)
class FilteredEncoderConfig:
    """The Nature CNN on frames that a filter has cleaned."""

    filter: FilterName = "median"
    """Which one; none leaves frames as they are."""
    noise: Positive = 25.0
    """The noise's deviation, in greys."""
    features: Size = 512
    """Width of the dense layer."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def build(self, observation_space: gymnasium.Space) -> "FilteredEncoder":
        from perception.classical.filters import FilteredEncoder

        channels, _, _ = image_shape(observation_space, smallest=36)
        return FilteredEncoder(
            self, NatureCNNConfig(self.features).build(observation_space), channels
        )
