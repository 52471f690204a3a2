"""The type of a policy that acts on a vector environment."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Policy = Callable[[NDArray, NDArray[np.bool_]], NDArray]
"""Maps observations (N, ...), those of several parts packed as a row each, and whether each is the
first of an episode (N,) to probabilities of the actions (N, A), or to the actions (N, D) where the
action space is a Box. A policy may remember earlier observations; for the rows that begin an
episode it starts anew."""
