"""A new environment: a corridor whose right end pays 1.

Run it: python -m docs.examples.environment
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import VectorEnv

from agents.experiment import Experiment
from agents.settings.ppo import PPO
from agents.training.train import train
from common.ranges import Size, Steps, check_ranges
from envs.vector import vectorized
from perception.settings.encoders import MLPConfig


class Corridor(gymnasium.Env):
    """Observes the position as a one-hot vector; action 0 goes left, action 1 goes right."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 4}
    render_mode = "rgb_array"

    def __init__(self, length: int) -> None:
        self.length = length
        self.observation_space = Box(0.0, 1.0, (length,), np.float32)
        self.action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.position = 0
        return self._observation(), {}

    def step(self, action: Any):
        move = 1 if action == 1 else -1
        self.position = max(0, self.position + move)
        at_end = self.position == self.length - 1
        return self._observation(), float(at_end), at_end, False, {"is_success": at_end}

    def render(self):
        cells = np.full((1, self.length, 3), 40, np.uint8)
        cells[0, self.position] = (240, 180, 40)
        return cells.repeat(16, 0).repeat(16, 1)

    def _observation(self):
        return np.eye(self.length, dtype=np.float32)[self.position]


@dataclass(frozen=True)
class CorridorConfig:
    """A corridor; each field becomes an option of the command line, such as --env.length."""

    length: Size = 6
    """Cells, the first and the last included."""
    max_episode_steps: Steps = 20
    """Steps after which an episode is truncated."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return "corridor"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return gymnasium.wrappers.TimeLimit(Corridor(self.length), self.max_episode_steps)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


def experiment(run_dir: str = "") -> Experiment:
    """PPO with a small network, for 2,048 env steps."""
    return Experiment(
        env=CorridorConfig(),
        algo=PPO(rollout_length=64, minibatch_size=128, learning_rate=3e-3),
        encoder=MLPConfig(),
        total_env_steps=2_048,
        evaluate_every_env_steps=2_048,
        run_dir=run_dir,
    )


if __name__ == "__main__":
    train(experiment())
