"""BabyAI's levels with what the agent is told to do in them, in English or Chinese
(Chevalier-Boisvert et al. 2019)."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from common.info import IS_SUCCESS
from common.text import to_bytes
from envs.grids.minigrid import GridConfig, spellings, symbols, tasks, view
from envs.grids.missions import NOTHING, in_chinese
from envs.names import plain
from envs.vector import vectorized

PREFIX = "Language"
SENTENCE_BYTES = 128
BESIDE = ((1, 0), (-1, 0), (0, 1), (0, -1))
MAX_DRAWS = 100  # levels, until another mission is given up
BAR = 24  # pixels below the picture, for the mission


@dataclass(frozen=True)
class LanguageGridConfig:
    """A level of BabyAI's, such as GoToLocal, whose instruction is part of the observation.

    An observation has `image`, what lies in the seven by seven squares before the agent, as numbers
    uint8 (3, 7, 7): kind of thing, color, state; and `mission`, the instruction in UTF-8, uint8
    (128,), zeros after it. The reward is 1 - 0.9 * steps / limit for success, else 0; time
    truncates."""

    kind: ClassVar[str] = "instructed-grid"

    task: str = "GoToLocal"
    """The id that gymnasium knows, with or without BabyAI- before it and its version after it."""
    language: Literal["english", "chinese", "free-chinese"] = "english"
    """Of the instruction; free is worded in one of many ways, which chance decides."""
    shuffled: bool = False
    """Shows the instruction of another episode, to see whether the agent heeds it."""
    captions: bool = False
    """Tells besides, as `caption`, what the agent's last step has come to; a success ends the
    episode one step later, so that it can be told."""

    def __post_init__(self) -> None:
        grid = GridConfig(self.task)  # names what comes near a wrong name
        id = tasks()[plain(self.task)]
        if not id.startswith("BabyAI-"):
            raise ValueError(
                f"{grid.name} is a level without instructions that differ; --env {grid.name} has "
                "it."
            )

    @property
    def name(self) -> str:
        return PREFIX + GridConfig(self.task).name

    @property
    def reference_scores(self) -> dict[str, float]:
        return {}

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        level = gymnasium.make(tasks()[plain(self.task)], render_mode="rgb_array", tile_size=16)
        return Instructed(level, self.language, self.shuffled, self.captions)

    def build_vector(self, num_envs: int) -> VectorEnv:
        return vectorized(self.build, num_envs)


class Instructed(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """View and mission; an episode that ends with a reward was a success."""

    def __init__(self, env: gymnasium.Env, language: str, shuffled: bool, captions: bool) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(
            self, language=language, shuffled=shuffled, captions=captions
        )
        gymnasium.Wrapper.__init__(self, env)
        self.language = language
        self.shuffled = shuffled
        self.captions = captions
        sentence = Box(0, 255, (SENTENCE_BYTES,), np.uint8)
        parts: dict[str, gymnasium.Space] = {"image": symbols(), "mission": sentence}
        self.observation_space = Dict(parts | ({"caption": sentence} if captions else {}))
        self.mission = self.caption = ""
        self.earned: float | None = None  # by a success that has not been told yet

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        with redirect_stdout(StringIO()):  # it tells of every level that it draws and throws away
            observation, _ = self.env.reset(seed=seed, options=options)
            other = observation["mission"]
            # The level that is played must have another mission than the one that is shown.
            for _ in range(MAX_DRAWS if self.shuffled else 0):
                if observation["mission"] != other:
                    break
                observation, _ = self.env.reset(options=options)
        if self.shuffled and observation["mission"] == other:
            raise ValueError(
                f"No other mission can be shown: {MAX_DRAWS} levels in a row say '{other}'; leave out "
                "--env.shuffled."
            )
        told = other if self.shuffled else observation["mission"]
        self.mission = told if self.language == "english" else in_chinese(told, self._wording())
        self.english = told
        self.earned, self.caption = None, self._before_the_agent()
        return self._observed(observation), {}

    def step(self, action: Any):
        if self.earned is not None:
            return self.last, self.earned, True, False, {IS_SUCCESS: True}
        before = self._situation()
        observation, earned, terminated, truncated, _ = self.env.step(action)
        reward = float(earned)
        success = float(earned) > 0
        self.caption = self._deed(before)
        self.last = self._observed(observation)
        if self.captions and success:
            self.earned = reward
            return self.last, 0.0, False, False, {IS_SUCCESS: False}
        return self.last, reward, terminated, truncated, {IS_SUCCESS: success}

    def render(self) -> Any:
        import cv2  # here, because few commands draw

        picture: Any = self.env.render()
        bar = np.full((BAR, picture.shape[1], 3), 255, np.uint8)
        scale = min(
            0.4, 0.4 * (picture.shape[1] - 8) / cv2.getTextSize(self.english, 0, 0.4, 1)[0][0]
        )
        cv2.putText(
            bar, self.english, (4, BAR - 8), 0, scale, (0, 0, 0), 1, cv2.LINE_AA
        )  # its fonts have no Chinese
        return np.concatenate([picture, bar])

    def _observed(self, observation: Mapping[str, Any]) -> dict[str, NDArray[np.uint8]]:
        told = {"image": view(observation), "mission": to_bytes(self.mission, SENTENCE_BYTES)}
        return told | ({"caption": to_bytes(self.caption, SENTENCE_BYTES)} if self.captions else {})

    def _wording(self) -> np.random.Generator | None:
        return self.unwrapped.np_random if self.language == "free-chinese" else None

    def _situation(self) -> tuple[Any, bool]:
        """What the agent carries, and whether a closed door is before it."""
        level: Any = self.unwrapped
        ahead = level.grid.get(*level.front_pos)
        return level.carrying, ahead is not None and ahead.type == "door" and not ahead.is_open

    def _deed(self, before: tuple[Any, bool]) -> str:
        level: Any = self.unwrapped
        carried, closed = before
        ahead = level.grid.get(*level.front_pos)
        if level.carrying is not None and carried is None:
            return f"you have picked up {named(level.carrying)}"
        if carried is not None and level.carrying is None:
            x, y = level.front_pos
            around = (level.grid.get(x + right, y + down) for right, down in BESIDE)
            neighbors = [
                named(thing) for thing in around if thing is not None and thing.type != "wall"
            ]
            if neighbors:
                return f"you have put {named(carried)} next to {' and '.join(neighbors)}"
        if closed and ahead is not None and ahead.type == "door" and ahead.is_open:
            return f"you have opened {named(ahead)}"
        return self._before_the_agent()

    def _before_the_agent(self) -> str:
        level: Any = self.unwrapped
        ahead = level.grid.get(*level.front_pos)
        return (
            NOTHING
            if ahead is None or ahead.type == "wall"
            else f"you are in front of {named(ahead)}"
        )


def named(thing: Any) -> str:
    """A MiniGrid object as captions name it, such as "the red ball"."""
    return f"the {thing.color} {thing.type}"


def task_of(name: str) -> str:
    """The level that a name such as LanguageGoToLocal has after its prefix; empty where it is no
    such name."""
    told = plain(name)
    task = told.removeprefix(plain(PREFIX))
    return task if task != told and tasks().get(task, "").startswith("BabyAI-") else ""


def names() -> list[str]:
    """Names of all BabyAI levels, such as LanguageGoToLocal, sorted; none without MiniGrid."""
    return sorted(
        {PREFIX + spellings(id)[0] for id in tasks().values() if id.startswith("BabyAI-")}
    )
