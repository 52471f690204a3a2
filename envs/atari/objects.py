"""Space Invaders as a list of what is on its screen, exactly: what an agent could do with whom
seeing costs nothing."""

from dataclasses import dataclass
from typing import Any, ClassVar

import ale_py
import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from envs.atari.games import (
    HEIGHT,
    REFERENCE_SCORES,
    WIDTH,
    FireReset,
    LostLives,
    gymnasium_id,
    rom_of,
)
from envs.atari.space_invaders import CLASSES, GREYS, boxes_of, classes_of

GAME = "SpaceInvaders"
KINDS = CLASSES[1:-1]  # the ground is no object
OBJECTS = 48  # 36 aliens, 3 shields, the player and bullets
NUMBERS = 5 + len(KINDS)
SPACE = Box(0.0, 1.0, (2 * OBJECTS, NUMBERS), np.float32)


@dataclass(frozen=True)
class SpaceInvadersObjectsConfig:
    """Aliens, player, shields and bullets of the two newest frames, as numbers float32 (2 * 48, 9),
    the newest last.

    A row is one object: 1, its center x, y, its width and height in shares of the screen, and its
    class, one of four; rows are ordered by class, then from above, then from the left, and zeros
    follow the last."""

    kind: ClassVar[str] = "atari-objects"

    lost_life_terminates: bool = True
    """The learner treats a lost life as the end; evaluation and every logged return are of whole
    games."""

    @property
    def name(self) -> str:
        return f"{GAME}Objects"

    @property
    def reference_scores(self) -> dict[str, float]:
        return dict(zip(("random", "human"), REFERENCE_SCORES["spaceinvaders"], strict=True))

    @property
    def frame_stack(self) -> int:
        return 1

    def build(self) -> gymnasium.Env:
        env = gymnasium.make(
            gymnasium_id(GAME), render_mode="rgb_array", frameskip=1, repeat_action_probability=0.0
        )
        return Objects(
            gymnasium.wrappers.AtariPreprocessing(FireReset(env), screen_size=(WIDTH, HEIGHT))
        )

    def build_vector(self, num_envs: int) -> VectorEnv:
        screens = ale_py.AtariVectorEnv(
            rom_of(GAME),
            num_envs=num_envs,
            img_height=HEIGHT,
            img_width=WIDTH,
            stack_num=1,
            reward_clipping=False,
            autoreset_mode=AutoresetMode.SAME_STEP,
        )
        env = VectorObjects(screens)
        return LostLives(env) if self.lost_life_terminates else env


class Objects(gymnasium.Wrapper):
    """Grey screens (210, 160) -> lists of their objects and of those before."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.observation_space = SPACE

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        screen, info = self.env.reset(seed=seed, options=options)
        self._newest = listed(screen)
        return np.concatenate([np.zeros_like(self._newest), self._newest]), info

    def step(self, action: Any):
        screen, reward, terminated, truncated, info = self.env.step(action)
        before = self._newest
        self._newest = listed(screen)
        return np.concatenate([before, self._newest]), float(reward), terminated, truncated, info


class VectorObjects(VectorWrapper):
    """The same of many screens (N, 1, 210, 160), which are reset in the same step."""

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self.single_observation_space = SPACE
        self.observation_space = gymnasium.vector.utils.batch_space(SPACE, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None):
        screens, info = self.env.reset(seed=seed, options=options)
        self._newest = all_listed(screens)
        return np.concatenate([np.zeros_like(self._newest), self._newest], 1), info

    def step(self, actions: Any):
        screens, rewards, terminated, truncated, info = self.env.step(actions)
        before = self._newest
        self._newest = all_listed(screens)
        over = terminated | truncated
        if over.any():
            final = np.zeros((len(over), *SPACE.shape), np.float32)
            final[over] = np.concatenate([before[over], all_listed(info["final_obs"][over])], 1)
            info["final_obs"] = final
        # In a new episode there is no screen before the first.
        before = np.where(over[:, None, None], np.float32(0), before)
        return np.concatenate([before, self._newest], 1), rewards, terminated, truncated, info


def listed(screen: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Objects (48, 9) of a grey screen (210, 160)."""
    boxes = boxes_of(classes_of(screen, GREYS))[:OBJECTS]
    order = np.lexsort((boxes[:, 1], boxes[:, 2], boxes[:, 0]))
    classes = boxes[order, 0]
    corners = boxes[order, 1:] / np.array([WIDTH, HEIGHT] * 2)
    rows = np.zeros((OBJECTS, NUMBERS), np.float32)
    here = rows[: len(boxes)]
    here[:, 0] = 1.0
    here[:, 1:3] = (corners[:, :2] + corners[:, 2:]) / 2
    here[:, 3:5] = corners[:, 2:] - corners[:, :2]
    here[np.arange(len(here)), 4 + classes] = 1.0
    return rows


def all_listed(screens: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Objects (N, 48, 9) of grey screens (N, 1, 210, 160)."""
    return np.stack([listed(screen[-1]) for screen in screens])
