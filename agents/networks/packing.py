"""Observations of several parts, such as a camera and range sensors, as one array: columns and
replay need no other."""

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray
from torch import Tensor, nn

from common.info import ACTION_MASK
from common.spaces import without_mask

EXACT = 2**24
"""Integers up to this are exact as float32."""


class Packing:
    """How observations of a space are packed: those of a Box as they are; the parts of a Dict side
    by side, as numbers where all parts have one dtype, else as bytes.

    Raises ValueError for a Dict with parts other than a Box."""

    def __init__(self, space: gymnasium.Space) -> None:
        self.parts: dict[str, Box] = {}
        self.slices: dict[str, slice] = {}
        if not isinstance(space, Dict):
            self.shape = tuple(space.shape or ())
            self.dtype = native(space.dtype or np.float32)
            self.sees_images = len(self.shape) == 3
            return
        for name, part in space.spaces.items():
            if not isinstance(part, Box):
                raise ValueError(
                    f"The parts of an observation must each be a Box; '{name}' is {part}."
                )
            self.parts[name] = part
        dtypes = {native(part.dtype) for part in self.parts.values()}
        self.dtype = dtypes.pop() if len(dtypes) == 1 else np.dtype(np.uint8)
        start = 0
        for name, part in self.parts.items():
            size = math.prod(part.shape) * part.dtype.itemsize // self.dtype.itemsize
            self.slices[name] = slice(start, start + size)
            start += size
        self.shape = (start,)
        self.sees_images = any(len(part.shape) == 3 for part in self.parts.values())

    def pack(self, observations: NDArray | Mapping[str, NDArray]) -> NDArray:
        """Observations (B, ...), or such parts by name -> (B, *shape).

        Raises ValueError where they have another shape than the space, or numbers that its dtype
        cannot hold."""
        if not isinstance(observations, Mapping):
            return as_dtype(observations, self.shape, self.dtype)
        columns = []
        for name, part in self.parts.items():
            column = np.ascontiguousarray(
                as_dtype(observations[name], part.shape, native(part.dtype))
            )
            columns.append(column.reshape(len(column), -1).view(self.dtype))
        return np.concatenate(columns, 1)

    def pack_one(self, observation: Any) -> NDArray:
        """A single observation, or its parts by name -> (*shape)."""
        if not isinstance(observation, Mapping):
            return self.pack(np.asarray(observation)[None])[0]
        return self.pack({name: np.asarray(value)[None] for name, value in observation.items()})[0]

    def unpack(self, packed: Tensor) -> dict[str, Tensor]:
        """(B, *shape) -> parts by name, each (B, *part); numbers that were made of them, such as
        normalized ones, keep their dtype."""
        return {
            name: self.unpack_part(packed[:, columns], name)
            for name, columns in self.slices.items()
        }

    def unpack_part(self, packed: Tensor, name: str) -> Tensor:
        """The columns of one part (B, columns) -> (B, *part)."""
        part = self.parts[name]
        if packed.dtype == torch.uint8:
            # Not `contiguous`: for a single row that is the row itself, which may begin or end
            # within a number.
            packed = packed.clone(memory_format=torch.contiguous_format).view(
                torch.from_numpy(np.empty(0, native(part.dtype))).dtype
            )
        return packed.reshape(len(packed), *part.shape)


def require_exact(space: gymnasium.Space, advice: str) -> None:
    """Raises ValueError, with the advice, for integers whose last digits networks cannot see."""
    for part in space.spaces.values() if isinstance(space, Dict) else [space]:
        if isinstance(part, Box) and part.dtype.kind in "iu" and largest(part) > EXACT:
            raise ValueError(
                f"Observations are integers up to {largest(part):,}, and networks see the first "
                f"{EXACT:,} apart; "
                f"{advice}."
            )


def largest(space: Box) -> int:
    """The largest magnitude that a Box of integers allows."""
    return max(-int(space.low.min(initial=0)), int(space.high.max(initial=0)))


def native(dtype: npt.DTypeLike) -> np.dtype:
    """The dtype in this machine's byte order, which is the only one that torch reads."""
    return np.dtype(dtype).newbyteorder("=")


def as_dtype(observations: Any, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """Observations (B, *shape) in this dtype; not copied where they have it.

    Raises ValueError for another shape, and where a number would change by more than the rounding
    of real numbers."""
    array = np.asarray(observations)
    if array.shape[1:] != shape:
        raise ValueError(
            f"observations have the shape {array.shape[1:]}, and their space has {shape}"
        )
    if array.dtype == dtype:
        return array
    cast = array.astype(dtype)
    rounds = array.dtype.kind == dtype.kind == "f"
    if not rounds and not np.array_equal(cast.astype(array.dtype), array):
        raise ValueError(
            f"observations are {array.dtype}, and their space's {dtype} cannot hold their numbers"
        )
    return cast


class PartsEncoder(nn.Module):
    """An encoder that reads observations by their parts, for those that come packed."""

    def __init__(self, encoder: Any, packing: Packing) -> None:
        super().__init__()
        self.input_layer = nn.Identity()
        self.torso = nn.Sequential(Unpack(packing), encoder)
        self.output_dim: int = encoder.output_dim
        self.capturable: bool = getattr(encoder, "capturable", False)


class Unpack(nn.Module):
    """Packed observations -> their parts by name, without the mask of actions."""

    def __init__(self, packing: Packing) -> None:
        super().__init__()
        self.packing = packing

    def forward(self, packed: Tensor) -> dict[str, Tensor]:
        parts = self.packing.unpack(packed)
        parts.pop(ACTION_MASK, None)
        return parts


class OnlyPart(nn.Module):
    """An encoder of observations that are a single part beside the mask of actions."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.output_dim: int = encoder.output_dim
        self.capturable: bool = getattr(encoder, "capturable", False)

    def forward(self, parts: dict[str, Tensor]) -> Tensor:
        [only] = parts.values()
        return self.encoder.torso(self.encoder.input_layer(only))


def build_encoder(config: Any, space: gymnasium.Space) -> Any:
    """The encoder's network, for packed observations of this space, of which it does not read the
    mask of actions.

    Raises ValueError where it cannot read them."""
    read = without_mask(space)
    encoder = config.build(read)
    if not isinstance(space, Dict):
        return encoder
    of_parts = encoder if isinstance(read, Dict) else OnlyPart(encoder)
    return PartsEncoder(of_parts, Packing(space))
