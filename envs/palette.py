"""Games in other greys than an agent learnt with: to see how much of what it learnt was of colors
alone."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

# as modules that see are trained with, where the shift is 1
CONTRAST = 0.3
BRIGHTNESS = 20.0
COLOR = 25.0
SIDE = 84


class ShiftedPalette(gymnasium.ObservationWrapper):
    """Grey screens in full size -> 84x84, with each grey moved by what an episode has drawn for it.

    A game's color is one grey, and so each of its colors gets another one. Contrast varies by up
    to 30 %, brightness with a deviation of 20 and each color with one of 25, all times `shift`."""

    def __init__(self, env: gymnasium.Env, shift: float) -> None:
        super().__init__(env)
        self.shift = shift
        self.observation_space = Box(0, 255, (SIDE, SIDE), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        screen, info = self.env.reset(seed=seed, options=options)
        random = self.np_random
        contrast = 1 + random.uniform(-CONTRAST, CONTRAST) * self.shift
        moves = random.normal(0, BRIGHTNESS * self.shift) + random.normal(
            0, COLOR * self.shift, 256
        )
        self.greys = np.rint((np.arange(256) * contrast + moves).clip(0, 255)).astype(np.uint8)
        return self.observation(screen), info

    def observation(self, observation: Any) -> Any:
        import cv2  # here, because few commands draw

        return cv2.resize(self.greys[observation], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
