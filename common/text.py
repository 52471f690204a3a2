"""Text as bytes in observations: UTF-8 in rows of one length, with zeros after it."""

import numpy as np
from numpy.typing import NDArray


def to_bytes(text: str, length: int) -> NDArray[np.uint8]:
    """The text as UTF-8, (length,). Characters that do not fit whole are left out at the end."""
    fitting = text.encode()[:length].decode(errors="ignore").encode()
    row = np.zeros(length, np.uint8)
    row[: len(fitting)] = np.frombuffer(fitting, np.uint8)
    return row
