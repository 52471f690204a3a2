"""Rooms of colored things on a grid, seen by an agent in them (Chevalier-Boisvert et al. 2019 and
2023, MiniGrid and BabyAI)."""

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from common.info import IS_SUCCESS
from envs.names import near_matches, plain
from envs.vector import vectorized

PREFIXES = ("MiniGrid-", "BabyAI-")
VIEW = 7  # squares, on either side of the observation
LARGEST = (10, 5, 3)  # object, color and state, as MiniGrid numbers them


@dataclass(frozen=True)
class GridConfig:
    """One task, such as MultiRoom-N4-S5 or GoToRedBallGrey; its instruction is not shown.

    An observation is what lies in the seven by seven squares before the agent, as numbers uint8 (3,
    7, 7): kind of thing, color, state. The reward is 1 - 0.9 * steps / limit for success, else 0;
    time truncates."""

    task: str = "MultiRoom-N4-S5"
    """The id that gymnasium knows, with or without MiniGrid- or BabyAI- before it and its version
    after it."""

    def __post_init__(self) -> None:
        if find_spec("minigrid") is None:
            raise ValueError("Grids need MiniGrid: pip install 'praxis-rl[grids]'.")
        if plain(self.task) not in tasks():
            raise ValueError(f"There is no grid '{self.task}'.{near_matches(self.task, names())}")

    @property
    def name(self) -> str:
        id = tasks()[plain(self.task)]
        # The first spelling that leads back to this id: ids may share the short ones.
        return next(spelling for spelling in spellings(id) if tasks()[plain(spelling)] == id)

    @property
    def kind(self) -> str:
        return "grid:memory" if "Memory" in self.name else "grid"

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        return Symbols(
            gymnasium.make(tasks()[plain(self.task)], render_mode="rgb_array", tile_size=16)
        )

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


class Symbols(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """The view alone, channels first; an episode that ends with a reward was a success."""

    def __init__(self, env: gymnasium.Env) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self.observation_space = symbols()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        with redirect_stdout(StringIO()):  # it tells of every level that it draws and throws away
            observation, _ = self.env.reset(seed=seed, options=options)
        return view(observation), {}

    def step(self, action: Any):
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return (
            view(observation),
            float(reward),
            terminated,
            truncated,
            {IS_SUCCESS: float(reward) > 0},
        )


def symbols() -> Box:
    """What an agent may see: uint8 (3, 7, 7)."""
    largest = np.broadcast_to(np.reshape(LARGEST, (3, 1, 1)), (3, VIEW, VIEW)).astype(np.uint8)
    return Box(np.zeros_like(largest), largest, dtype=np.uint8)


def view(observation: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The image of an observation of MiniGrid with channels first, uint8 (3, 7, 7)."""
    return np.ascontiguousarray(observation["image"].transpose(2, 0, 1))


@cache
def tasks() -> dict[str, str]:
    """Plain names -> id, where MiniGrid is installed. Of ids that share a short name it is
    MiniGrid's newest one's."""
    if find_spec("minigrid") is not None:
        import_module("minigrid")  # registers them
    ids = sorted(name for name in gymnasium.registry if name.startswith(PREFIXES))  # BabyAI's first
    return {plain(spelling): name for name in ids for spelling in spellings(name)}


def spellings(id: str) -> tuple[str, str, str, str]:
    """BabyAI-GoToLocal-v0 -> GoToLocal, GoToLocal-v0, BabyAI-GoToLocal, BabyAI-GoToLocal-v0"""
    collection, _, versioned = id.partition("-")
    task = versioned.rpartition("-v")[0]
    return task, versioned, f"{collection}-{task}", id


def names() -> list[str]:
    """Short names of all tasks, such as MultiRoom-N4-S5, sorted; none without MiniGrid."""
    return sorted({spellings(id)[0] for id in tasks().values()})


def bot_of(env: gymnasium.Env) -> Callable[[], int]:
    """BabyAI's bot for the episode that has just begun: each call gives the next action, which must
    then be taken.

    Raises ValueError for a task without an instruction that it understands."""
    from minigrid.utils.baby_ai_bot import BabyAIBot  # MiniGrid may not be installed

    try:
        bot = BabyAIBot(env)
    except AttributeError as foreign:
        raise ValueError(f"BabyAI's bot cannot play {env}; it plays BabyAI's levels.") from foreign
    taken: Any = None

    def act() -> int:
        nonlocal taken
        taken = bot.replan(taken)
        return int(taken)

    return act
