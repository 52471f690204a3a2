"""Text in columns of bytes: UTF-8 in rows of one length, zeros after it, as observations carry it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_bytes(text: str, length: int) -> NDArray[np.uint8]:
    """The text as UTF-8 (length,); what does not fit is left out, whole characters at a time."""
    fitting = text.encode()[:length].decode(errors="ignore").encode()
    row = np.zeros(length, np.uint8)
    row[: len(fitting)] = np.frombuffer(fitting, np.uint8)
    return row


def from_bytes(row: NDArray[np.uint8] | Tensor) -> str:
    """The text of a row of bytes (L,), up to its first zero. Raises UnicodeDecodeError where it is no UTF-8."""
    return bytes(row.tolist()).split(b"\0", 1)[0].decode()


def different(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of rows uint8 (B, L) the ones that differ (U, L), and which of them each row is, int64 (B,): a batch has few
    sentences, and each is read once."""
    unique, index = torch.unique(rows, dim=0, return_inverse=True)
    return unique, index
