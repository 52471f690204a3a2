"""Robots that walk, run, reach and push on PyBullet (Coumans and Bai 2016): the tasks of
pybullet-envs-gymnasium."""

from dataclasses import dataclass
from typing import ClassVar

import gymnasium
from gymnasium.vector import VectorEnv

from common.ranges import EpisodeSteps, check_ranges
from envs.names import plain
from envs.robots.simulation import import_quietly, quiet
from envs.vector import vectorized

RANDOM_RETURNS = {
    "HalfCheetah": -1281.3, "Ant": 357.2, "Hopper": 20.6, "Walker2D": 16.5,
    "Humanoid": -32.0, "HumanoidFlagrun": -32.5, "HumanoidFlagrunHarder": -414.1, "Reacher": -14.0,
    "Pusher": -175.7, "Thrower": -154.8, "InvertedPendulum": 24.5, "InvertedDoublePendulum": 290.6,
    "InvertedPendulumSwingup": -925.5,
}  # fmt: skip
"""Every robot with the mean return of 30 episodes of random actions, measured here."""


@dataclass(frozen=True)
class LocomotionConfig:
    """One robot, by its plain name: joint angles and speeds as a vector, torques as actions.

    An episode ends when the robot has fallen, if it can; else it is truncated, after 1,000 steps of
    1/60 s as a rule.
    """

    kind: ClassVar[str] = "locomotion"

    robot: str = "HalfCheetah"
    """The robot's plain name, such as HalfCheetah, Hopper or Ant."""
    max_episode_steps: EpisodeSteps = -1
    """Steps after which an episode is truncated; -1 keeps the task's own limit."""
    parallel: bool = False
    """Each robot in a process of its own."""

    def __post_init__(self) -> None:
        if plain(self.robot) not in names():
            raise ValueError(
                f"There is no robot '{self.robot}'; there are: {', '.join(RANDOM_RETURNS)}."
            )
        check_ranges(self)
        if self.max_episode_steps == 0:
            raise ValueError(
                f"max_episode_steps must be at least 1, or -1, not {self.max_episode_steps}."
            )

    @property
    def name(self) -> str:
        return names()[plain(self.robot)]

    @property
    def reference_scores(self) -> dict[str, float]:
        return {"random": RANDOM_RETURNS[self.name]}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        import_quietly("pybullet_envs_gymnasium")
        limit = self.max_episode_steps if self.max_episode_steps > 0 else None
        env = gymnasium.make(
            f"{self.name}BulletEnv-v0", render_mode="rgb_array", max_episode_steps=limit
        )
        # What draws and what steps is one object, and nothing of it exists before the first reset.
        with quiet():
            env.reset()
        return env

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs, self.parallel)


def names() -> dict[str, str]:
    """Plain spelling -> the robot's name, such as halfcheetah -> HalfCheetah."""
    return {plain(robot): robot for robot in RANDOM_RETURNS}
