"""Screens of Atari games as the console has them: numbers of its palette, in full size, to learn to
see from."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ale_py import ALEInterface, roms
from numpy.typing import NDArray

from envs.atari.games import HEIGHT, WIDTH, rom_of

FRAMES_A_STEP = 4
LONGEST_EPISODE = 2_000  # steps


@dataclass(frozen=True)
class Screens:
    screens: NDArray[np.uint8]  # (N, 210, 160), numbers of the palette
    episodes: NDArray[np.int64]  # (N,), the seed of each one's episode
    ram: NDArray[np.uint8]  # (N, 128)
    palette: NDArray[np.uint8]  # (256, 3) RGB; black where no screen has the color


def screens_of(game: str, seeds: Iterable[int], every: int) -> Screens:
    """One screen every so many steps of whole episodes, one episode a seed, played at random with
    runs of one action.

    Raises ValueError for a game that is not shipped, or whose screen has another size."""
    console = ALEInterface()
    console.setFloat("repeat_action_probability", 0.0)
    screens = []
    episodes = []
    ram = []
    palette = np.zeros((256, 3), np.uint8)
    for seed in seeds:
        console.setInt("random_seed", seed)
        console.loadROM(str(roms.get_rom_path(rom_of(game))))
        random = np.random.default_rng(seed)
        actions = console.getMinimalActionSet()
        phase = int(random.integers(every))
        action = actions[0]
        for step in range(LONGEST_EPISODE):
            if random.random() < 0.25:
                action = actions[random.integers(len(actions))]
            for _ in range(FRAMES_A_STEP):
                console.act(action)
            if console.game_over():
                break
            if step % every == phase:
                screen = console.getScreen()
                palette[screen] = console.getScreenRGB()
                screens.append(screen)
                episodes.append(seed)
                ram.append(console.getRAM())
    seen = np.array(screens, np.uint8)
    if seen.shape[1:] != (HEIGHT, WIDTH):
        raise ValueError(
            f"{game} has screens of {seen.shape[1:]}, not {HEIGHT}x{WIDTH}; leave it out."
        )
    return Screens(seen, np.array(episodes, np.int64), np.array(ram, np.uint8), palette)
