"""The check of algorithms whose actors end in tanh."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box

from common.spaces import in_words


def check_bounded_actions(space: Any, algorithm: str) -> None:
    """Raises ValueError, in one line, unless the space is a one-dimensional Box of real numbers
    with bounds on both sides."""
    from agents.networks.action_scaling import bounds_that_count

    vector = (
        isinstance(space, Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating)
    )
    if not (vector and np.all(bounds_that_count(space))):
        raise ValueError(
            f"{algorithm.upper()} needs continuous actions, a Box of real numbers with bounds and one dimension, not "
            f"{in_words(space)}; try --algo dqn or ppo."
        )
