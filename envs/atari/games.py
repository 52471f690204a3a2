"""Atari 2600 games on the Arcade Learning Environment, in the shape that deep RL agreed on.

Bellemare et al. 2013 (the environment), Mnih et al. 2015 (84x84 grey frames, four stacked, four
frames a step, no-op starts), Machado et al. 2018 (sticky actions).
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar

import ale_py
import gymnasium
import numpy as np
from ale_py import roms
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from common.info import LEARNING_TERMINATED
from common.ranges import CountOrZero, FractionBelowOne, Range, check_ranges
from envs.names import near_matches, plain
from envs.palette import ShiftedPalette
from envs.vector import vectorized

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

# pixels of the console's screen
HEIGHT = 210
WIDTH = 160
OBSERVATION_SPACE = Box(0, 255, (4, 84, 84), np.uint8)
"""The observation space of every game."""


@dataclass(frozen=True)
class AtariConfig:
    """One of the games that ale-py ships, as 84x84 grey frames, four stacked."""

    kind: ClassVar[str] = "atari"

    game: str = "SpaceInvaders"
    """The game's plain name, such as SpaceInvaders or MontezumaRevenge."""
    repeat_action_probability: FractionBelowOne = 0.0
    """Chance that the console repeats the last action instead: 0 (Mnih 2015), or sticky at 0.25
    (Machado 2018)."""
    full_action_space: bool = False
    """All 18 joystick actions instead of those that the game uses."""
    max_frames_per_episode: Annotated[int, Range(4, 2**31 - 1)] = 108_000
    """Frames (four a step) after which an episode is truncated: 30 minutes of play."""
    noop_max: CountOrZero = 30
    """An episode starts after a random number of idle frames, up to this many."""
    lost_life_terminates: bool = True
    """The learner treats a lost life as the end; evaluation and every logged return are of whole
    games."""
    palette_shift: Annotated[float, Range(0.0, 1e3)] = 0.0
    """How far each color is moved, each episode anew; 1 as far as modules that see are trained
    with. Slower."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def name(self) -> str:
        return self.game

    @property
    def reference_scores(self) -> dict[str, float]:
        scores = REFERENCE_SCORES.get(plain(self.game))
        return dict(zip(("random", "human"), scores, strict=True)) if scores else {}

    @property
    def frame_stack(self) -> int:
        return 4

    def build(self) -> gymnasium.Env:
        env = gymnasium.make(
            gymnasium_id(self.game),
            render_mode="rgb_array",
            frameskip=1,
            repeat_action_probability=self.repeat_action_probability,
            full_action_space=self.full_action_space,
            max_num_frames_per_episode=self.max_frames_per_episode,
        )
        # In full size each color is still one grey, which ShiftedPalette moves before it shrinks.
        size = (WIDTH, HEIGHT) if self.palette_shift else 84
        env = gymnasium.wrappers.AtariPreprocessing(
            FireReset(env), noop_max=self.noop_max, screen_size=size
        )
        if self.palette_shift:
            env = ShiftedPalette(env, self.palette_shift)
        return gymnasium.wrappers.FrameStackObservation(env, 4, padding_type="zero")

    def build_vector(self, num_envs: int) -> VectorEnv:
        env = vectorized(self.build, num_envs) if self.palette_shift else self._native(num_envs)
        return LostLives(env) if self.lost_life_terminates else env

    def _native(self, num_envs: int) -> VectorEnv:
        return ale_py.AtariVectorEnv(
            rom_of(self.game),
            num_envs=num_envs,
            max_num_frames_per_episode=self.max_frames_per_episode,
            repeat_action_probability=self.repeat_action_probability,
            full_action_space=self.full_action_space,
            noop_max=self.noop_max,
            reward_clipping=False,
            autoreset_mode=AutoresetMode.SAME_STEP,
        )


class LostLives(VectorWrapper):
    """Marks the steps on which a life was lost, under the info key `learning_terminated`."""

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None):
        observations, info = self.env.reset(seed=seed, options=options)
        self._lives = np.array(info["lives"])
        return observations, info

    def step(self, actions: Any):
        observations, rewards, terminated, truncated, info = self.env.step(actions)
        lives = info["lives"]
        # After a truncation the counter is the next game's, which may be lower: no life was lost.
        info[LEARNING_TERMINATED] = terminated | ((lives < self._lives) & ~truncated)
        self._lives = np.array(lives)
        return observations, rewards, terminated, truncated, info


class FireReset(gymnasium.Wrapper):
    """Presses FIRE once at the start, as the native vector does, so that a film shows the same
    game."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        observation, info = self.env.reset(seed=seed, options=options)
        meanings: list[str] = self.env.unwrapped.get_action_meanings()  # pyright: ignore[reportAttributeAccessIssue]
        if "FIRE" in meanings:
            observation, _, _, _, info = self.env.step(meanings.index("FIRE"))
        return observation, info


@cache
def shipped() -> dict[str, str]:
    """Every ROM that ale-py brings: plain spelling -> ROM name, such as spaceinvaders ->
    space_invaders."""
    return {plain(rom): rom for rom in roms.get_all_rom_ids() if roms.get_rom_path(rom)}


@cache
def games() -> dict[str, str]:
    """The shipped games that one player can play; ALE has no single-player form of the other
    four."""
    return {game: rom for game, rom in shipped().items() if game in display_names()}


@cache
def display_names() -> dict[str, str]:
    """Plain spelling -> the name as gymnasium writes it, such as spaceinvaders -> SpaceInvaders."""
    gymnasium.register_envs(ale_py)
    ids = (name.removeprefix("ALE/") for name in gymnasium.registry if name.startswith("ALE/"))
    return {plain(name.removesuffix("-v5")): name.removesuffix("-v5") for name in ids}


def rom_of(game: str) -> str:
    """The ROM name of a game; raises ValueError with near matches for one that is not shipped."""
    if plain(game) in shipped() and plain(game) not in games():
        raise ValueError(f"{game} is for several players; an agent here plays alone.")
    if plain(game) not in games():
        raise ValueError(
            f"There is no Atari game '{game}'.{near_matches(game, display_names().values())}"
        )
    return games()[plain(game)]


def gymnasium_id(game: str) -> str:
    """The id of a game in gymnasium, such as ALE/SpaceInvaders-v5; errors as in `rom_of`."""
    rom_of(game)
    return f"ALE/{display_names()[plain(game)]}-v5"


# Whole-game returns of a random policy and of a professional games tester:
# Wang et al. 2016, Dueling Network Architectures, table 2 (30 no-op starts).
REFERENCE_SCORES = {
    "alien": (227.8, 7127.7), "amidar": (5.8, 1719.5), "assault": (222.4, 742.0),
    "asterix": (210.0, 8503.3), "asteroids": (719.1, 47388.7), "atlantis": (12850.0, 29028.1),
    "bankheist": (14.2, 753.1), "battlezone": (2360.0, 37187.5), "beamrider": (363.9, 16926.5),
    "berzerk": (123.7, 2630.4), "bowling": (23.1, 160.7), "boxing": (0.1, 12.1),
    "breakout": (1.7, 30.5), "centipede": (2090.9, 12017.0), "choppercommand": (811.0, 7387.8),
    "crazyclimber": (10780.5, 35829.4), "defender": (2874.5, 18688.9),
    "demonattack": (152.1, 1971.0), "doubledunk": (-18.6, -16.4), "enduro": (0.0, 860.5),
    "fishingderby": (-91.7, -38.7), "freeway": (0.0, 29.6), "frostbite": (65.2, 4334.7),
    "gopher": (257.6, 2412.5), "gravitar": (173.0, 3351.4), "hero": (1027.0, 30826.4),
    "icehockey": (-11.2, 0.9), "jamesbond": (29.0, 302.8), "kangaroo": (52.0, 3035.0),
    "krull": (1598.0, 2665.5), "kungfumaster": (258.5, 22736.3),
    "montezumarevenge": (0.0, 4753.3), "mspacman": (307.3, 6951.6),
    "namethisgame": (2292.3, 8049.0), "phoenix": (761.4, 7242.6), "pitfall": (-229.4, 6463.7),
    "pong": (-20.7, 14.6), "privateeye": (24.9, 69571.3), "qbert": (163.9, 13455.0),
    "riverraid": (1338.5, 17118.0), "roadrunner": (11.5, 7845.0), "robotank": (2.2, 11.9),
    "seaquest": (68.4, 42054.7), "skiing": (-17098.1, -4336.9), "solaris": (1236.3, 12326.7),
    "spaceinvaders": (148.0, 1668.7), "stargunner": (664.0, 10250.0),
    "surround": (-10.0, 6.5), "tennis": (-23.8, -8.3), "timepilot": (3568.0, 5229.2),
    "tutankham": (11.4, 167.6), "upndown": (533.4, 11693.2), "venture": (0.0, 1187.5),
    "videopinball": (0.0, 17667.9), "wizardofwor": (563.5, 4756.5), "yarsrevenge": (3092.9, 54576.9),
    "zaxxon": (32.5, 9173.3),
}  # fmt: skip
