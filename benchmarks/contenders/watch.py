"""What Stable-Baselines3's agents are watched by while they learn."""

from collections.abc import Callable

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback


class Watch(BaseCallback):
    """Mean of the latest 100 whole training episodes, every 1,000 env steps; and episodes played at some steps."""

    def __init__(self, play_at: list[int], play: Callable[[], list[float]]) -> None:
        super().__init__()
        self.curve: list[tuple[int, float]] = []
        self.returns: dict[int, list[float]] = {}
        self.play_at, self.play = play_at, play

    def _on_step(self) -> bool:
        done = self.model.ep_info_buffer
        if self.num_timesteps % 1_000 < self.training_env.num_envs and done:
            self.curve.append((self.num_timesteps, float(np.mean([game["r"] for game in done]))))
        if self.play_at and self.num_timesteps >= self.play_at[0]:
            self.returns[self.play_at.pop(0)] = self.play()
        return True
