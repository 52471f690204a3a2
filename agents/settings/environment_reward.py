"""What the agent is rewarded for, when it is the environment that says so."""

from dataclasses import dataclass

import gymnasium
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EnvironmentReward:
    """The environment's own reward."""

    clip_to_sign: bool = False
    """Learn from the reward's sign alone, so that one learning rate fits every game (Mnih 2015);
    logged returns stay unclipped."""

    def of_environment(self, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.sign(rewards) if self.clip_to_sign else rewards

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> None:
        return None
