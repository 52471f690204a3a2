"""Text in columns of bytes: UTF-8 in rows of one length, zeros after it, as observations carry
it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def from_bytes(row: NDArray[np.uint8] | Tensor) -> str:
    """The text of a row of bytes (L,), up to its first zero. Raises UnicodeDecodeError where it is
    no UTF-8."""
    return bytes(row.tolist()).split(b"\0", 1)[0].decode()


def texts(rows: Tensor) -> list[str]:
    """The text of each row of bytes uint8 (B, L), but for the zeros at its end."""
    column = np.ascontiguousarray(rows.cpu().numpy())
    return [text.decode() for text in column.view(f"S{column.shape[1]}")[:, 0].tolist()]


def different(sentences: Sequence[str]) -> tuple[list[str], Tensor]:
    """The ones that differ, and which of them each sentence is, int64 (B,): a batch has few, and
    each is read once."""
    places: dict[str, int] = {}
    index = torch.tensor([places.setdefault(sentence, len(places)) for sentence in sentences])
    return list(places), index
