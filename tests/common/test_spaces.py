"""What messages say of a space."""

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from common.spaces import in_words


def test_a_short_space_is_told_whole_and_a_long_one_by_what_matters() -> None:
    assert in_words(Discrete(4)) == "Discrete(4)"
    low = np.linspace(-9.0, -1.0, 40, dtype=np.float32)
    long = Box(low, np.float32(0.5) * -low)
    assert in_words(long) == "Box(..., (40,), float32)"
    assert in_words(Dict(near=long, far=long)) == "Dict of near, far"
