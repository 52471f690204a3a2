"""Any environment that is registered with gymnasium, such as CartPole-v1."""

import inspect
import os
from dataclasses import dataclass

import gymnasium
from gymnasium.vector import VectorEnv

from common.ranges import EpisodeSteps, check_ranges
from envs.masks import standard_with_mask
from envs.names import near_matches
from envs.spaces import standard
from envs.vector import in_one_line, vectorized

# Frames are drawn into arrays: pygame is to look for neither a screen nor a sound card.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")

# Atari's games, the robots, the grids and the treatments have plain names, and configurations of
# their own.
BY_NAME = ("ale_py", "pybullet_envs_gymnasium", "panda_gym", "minigrid")
TREATMENT = "health/"


@dataclass(frozen=True)
class ClassicConfig:
    """A registered gymnasium environment, by its id; where agents do not understand its spaces,
    they are converted (`envs.spaces.StandardSpaces`)."""

    id: str = "CartPole-v1"
    """The id that gymnasium.make takes."""
    action_mask: bool = True
    """Takes no action that the environment says is not possible: by `action_mask` in its info or in
    its observation, or by a method `action_masks`."""
    max_episode_steps: EpisodeSteps = -1
    """Steps after which an episode is truncated; -1 keeps the registered limit, 10,000 where there
    is none."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.max_episode_steps == 0:
            raise ValueError(
                f"max_episode_steps must be at least 1, or -1, not {self.max_episode_steps}."
            )

    @property
    def name(self) -> str:
        return self.id.split("/")[-1]

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        if self.id not in gymnasium.registry:
            raise ValueError(f"There is no environment '{self.id}'.{near_matches(self.id, ids())}")
        limit = self.max_episode_steps
        if limit < 0:
            limit = None if gymnasium.spec(self.id).max_episode_steps else 10_000
        env = made(self.id, limit)
        return standard_with_mask(env) if self.action_mask else standard(env)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


def made(name: str, max_episode_steps: int | None) -> gymnasium.Env:
    """gymnasium's environment of this id, which draws frames if it can.

    Raises ValueError, in one line, where it cannot be made, or cannot be reset with a seed."""
    # gymnasium's checker would warn of what is converted or refused here.
    options = {"max_episode_steps": max_episode_steps, "disable_env_checker": True}
    try:
        try:
            env = gymnasium.make(name, render_mode="rgb_array", **options)
        except TypeError as refusal:
            if "render_mode" not in str(refusal):
                raise
            env = gymnasium.make(name, **options)
        env.metadata = env.metadata or {}  # of the class or None; a vector writes into it
    except (Exception, SystemExit) as failure:
        raise ValueError(
            f"The environment '{name}' cannot be made here: {in_one_line(failure)}"
        ) from failure
    taken = inspect.signature(env.unwrapped.reset).parameters
    if not (
        {"seed", "options"} <= taken.keys() or any(p.kind is p.VAR_KEYWORD for p in taken.values())
    ):
        raise ValueError(
            f"The environment '{name}' cannot be seeded: its reset must take the keywords seed and "
            "options, as "
            "gymnasium's environments do."
        )
    return env


def ids() -> list[str]:
    """Every registered environment id but those of environments that have plain names."""
    return [
        i
        for i, spec in gymnasium.registry.items()
        if not str(spec.entry_point).startswith(BY_NAME) and not i.startswith(TREATMENT)
    ]
