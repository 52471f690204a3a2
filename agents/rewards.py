"""What the agent is rewarded for, when it is the environment that says so."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.interfaces import Experience


@dataclass(frozen=True)
class EnvironmentReward:
    """The environment's own reward."""

    clip_to_sign: bool = False
    """Learn from the reward's sign alone, so that one learning rate fits every game (Mnih 2015); logged returns
    stay unclipped."""

    def reward(self, experience: Experience) -> NDArray[np.float32]:
        return np.sign(experience.rewards) if self.clip_to_sign else experience.rewards
