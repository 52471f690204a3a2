"""Makes screens to learn to see from: python scripts/make_frames.py --games SpaceInvaders"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from agents.experiment import require
from agents.monitoring.progress import Advance, progress
from common.ranges import Range
from envs.atari.games import AtariConfig
from scripts.cli import main_with_clear_errors, mistakes_are_the_users, parse, require_writable
from scripts.recipes import environment_named

if TYPE_CHECKING:
    from perception.vision.frames import Frames

USAGE = """Plays Atari games at random and keeps screens: some episodes to train on, others to test on.

Of Space Invaders alone, each pixel's class and each object's box are kept, too."""
FIRST_TEST_SEED = 1_000_000
Episodes = Annotated[int, Range(1, 10_000, reason="all screens are kept in memory")]
"""A number of episodes of a game, each of which is some hundred screens of 34 KB."""


@dataclass(frozen=True)
class Settings:
    games: tuple[str, ...] = ("SpaceInvaders",)
    """Plain names."""
    train_episodes: Episodes = 40
    """Of each game."""
    test_episodes: Episodes = 10
    """Of each game."""
    every: Annotated[
        int, Range(1, 100, reason="an episode may have no more than some hundred steps")
    ] = 5
    """Steps between two screens."""
    seed: Annotated[int, Range(0, FIRST_TEST_SEED - 1)] = 0
    """Of the first episode to train on; the next ones follow."""
    output: str = ""
    """The file; empty makes runs/frames/<games>.npz."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    require(
        settings.seed <= FIRST_TEST_SEED - settings.train_episodes,
        f"--seed must be below {FIRST_TEST_SEED:,} by at least --train-episodes.",
    )
    with mistakes_are_the_users():
        games = [environment_named(name) for name in settings.games]
        require(
            all(isinstance(game, AtariConfig) for game in games),
            "--games are Atari games, by their plain names.",
        )
        names = tuple(game.name for game in games)
        require(names != (), "--games needs a name after it.")
        require(len(set(names)) == len(names), "--games names a game twice; once is enough.")
        path = Path(
            settings.output
            or f"runs/frames/{'-'.join(names) if len(names) < 4 else f'{len(names)}-games'}.npz"
        )
        require_writable(path)
        require(not path.exists(), f"{path} exists already; choose another --output.")
        train_seeds = range(settings.seed, settings.seed + settings.train_episodes)
        test_seeds = range(FIRST_TEST_SEED, FIRST_TEST_SEED + settings.test_episodes)
        with progress(
            "playing episodes", len(names) * (len(train_seeds) + len(test_seeds))
        ) as advance:
            train = frames_of(names, train_seeds, settings.every, advance)
            test = frames_of(names, test_seeds, settings.every, advance)
    save(path, train, test)


def save(path: Path, train: Frames, test: Frames) -> None:
    """Writes the screens, and says how many there are."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from perception.vision.frames import save_frames

    path.parent.mkdir(parents=True, exist_ok=True)
    save_frames(path, train, test)
    print(
        f"{path}: {len(train):,} screens to train on, {len(test):,} to test on, "
        f"{path.stat().st_size >> 20} MiB"
    )


def frames_of(names: tuple[str, ...], seeds: range, every: int, advance: Advance) -> Frames:
    """Screens of these games, one every so many steps of an episode for each seed; with classes and
    boxes where Space Invaders is the only game."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    from envs.atari.screens import screens_of
    from envs.atari.space_invaders import CLASSES, boxes_of, classes_of
    from perception.vision.frames import Frames

    played = [screens_of(name, counted(seeds, advance), every) for name in names]
    screens = np.concatenate([one.screens for one in played])
    labeled = names == ("SpaceInvaders",)
    classes = (
        np.stack([classes_of(screen) for screen in screens])
        if labeled
        else np.zeros((len(screens), 0, 0), np.uint8)
    )
    boxes = (
        [np.insert(boxes_of(own), 0, row, axis=1) for row, own in enumerate(classes)]
        if labeled
        else []
    )
    return Frames(
        screens=screens,
        games=np.repeat(np.arange(len(names)), [len(one.screens) for one in played]),
        episodes=np.concatenate([one.episodes for one in played]),
        classes=classes,
        boxes=np.concatenate(boxes) if boxes else np.zeros((0, 6), np.int64),
        names=names,
        class_names=CLASSES if labeled else (),
        palettes=np.stack([one.palette for one in played]),
    )


def counted(seeds: range, advance: Advance) -> Iterator[int]:
    """The seeds, each of which is done when the next one is asked for."""
    for seed in seeds:
        yield seed
        advance()


if __name__ == "__main__":
    main_with_clear_errors(main)
