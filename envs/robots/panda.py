"""A Franka Emika Panda arm and its tasks (Gallouedec et al. 2021, panda-gym), each with a goal."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from envs.names import plain
from envs.robots.simulation import import_quietly, quiet
from envs.vector import vectorized

RANDOM_RETURNS = {
    "Reach": -49.5,
    "Push": -45.6,
    "Slide": -50.0,
    "PickAndPlace": -47.1,
    "Stack": -97.5,
}
"""Every task with the mean return of 200 episodes of random actions, with sparse rewards, measured
here."""


@dataclass(frozen=True)
class PandaConfig:
    """One task: the arm's and the object's state as `observation`, with `achieved_goal` and
    `desired_goal` (metres).

    An episode is truncated after 50 steps of 1/25 s (Stack: 100), and goes on when the goal is
    reached: staying there is part of the task. `info["is_success"]` says whether it is reached."""

    kind: ClassVar[str] = "arm"

    task: str = "Reach"
    """Reach, Push, Slide, PickAndPlace or Stack."""
    dense: bool = False
    """The reward is minus the distance to the goal, in metres; else minus 1 until the goal is
    reached."""
    control: Literal["hand", "joints"] = "hand"
    """What actions move: the hand, by up to 5 cm along each axis, or the seven joints; then the
    fingers, if needed."""
    parallel: bool = False
    """Each arm in a process of its own."""

    def __post_init__(self) -> None:
        if plain(self.task) not in names():
            raise ValueError(
                f"There is no Panda task '{self.task}'; there are: {', '.join(RANDOM_RETURNS)}."
            )

    @property
    def name(self) -> str:
        return f"Panda{names()[plain(self.task)]}"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {} if self.dense else {"random": RANDOM_RETURNS[names()[plain(self.task)]]}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        import_quietly("panda_gym")
        control = "Joints" if self.control == "joints" else ""
        reward = "Dense" if self.dense else ""
        with quiet():
            env = gymnasium.make(
                f"{self.name}{control}{reward}-v3",
                render_mode="rgb_array",
                renderer="Tiny",
                render_width=320,
                render_height=240,
            )
        return GoesOn(env)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs, self.parallel)


class GoesOn(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """An episode goes on when the goal is reached: only time ends it.

    What a seed decides, it decides wholly: by itself the task draws goals from the machine's chance
    at every reset that has no seed, and the simulation remembers contacts of the episode before."""

    def __init__(self, env: gymnasium.Env) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self._seeds = np.random.default_rng()
        self._simulation: Any = env.unwrapped.sim  # pyright: ignore[reportAttributeAccessIssue]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        if seed is not None:
            self._seeds = np.random.default_rng(seed)
        self._forget_contacts()
        return self.env.reset(seed=int(self._seeds.integers(2**31)), options=options)

    def _forget_contacts(self) -> None:
        """Lifts what lies there into the air, each by itself, and has the simulation see that
        nothing touches."""
        client = self._simulation.physics_client
        for name, body in self._simulation._bodies_idx.items():
            if name.startswith("object"):
                client.resetBasePositionAndOrientation(
                    body, [0.0, 0.0, 9.0 + body], [0.0, 0.0, 0.0, 1.0]
                )
        client.performCollisionDetection()

    def compute_reward(self, achieved_goal: NDArray, desired_goal: NDArray, info: Any) -> NDArray:
        """What having achieved the one would bring if the other were the goal; for one or for
        many."""
        unwrapped: Any = self.env.unwrapped
        return unwrapped.compute_reward(achieved_goal, desired_goal, info)

    def step(self, action: Any):
        observation, reward, _, truncated, info = self.env.step(action)
        return observation, reward, False, truncated, info


def names() -> dict[str, str]:
    """Plain spelling -> the task's name, such as pickandplace -> PickAndPlace."""
    return {plain(task): task for task in RANDOM_RETURNS}
