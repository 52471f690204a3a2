"""Makes pairs of what happened in a grid and what was ordered: python scripts/make_captions.py"""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from agents.experiment import require
from agents.monitoring.progress import progress
from common.files import write_durably
from common.ranges import Count, CountOrZero, Range, Seed
from envs.grids.missions import COLORS, KINDS, captions, fulfils, missions
from scripts.cli import main_with_clear_errors, parse, require_writable

USAGE = """Makes captions with missions that they fulfil or do not, to learn from which ones do.

  captions-{train,test}.tsv   caption, mission, 1 or 0

Some combinations of color and kind are in no line to train on, and in each line to test on."""
COMBINATION = re.compile(f"({'|'.join(COLORS)}) ({'|'.join(KINDS)})")
COLOR = re.compile(f"({'|'.join(COLORS)}) ")
KIND = re.compile(f"{'|'.join(KINDS)}")

Pair = tuple[str, str, bool]


@dataclass(frozen=True)
class Settings:
    output: Path = Path("runs/corpus")
    """The folder; files that are there already are kept as they are."""
    held_out: Annotated[int, Range(1, 11)] = 6
    """Combinations of color and kind to test on, of 24."""
    near_misses: CountOrZero = 5
    """Captions that do not fulfil the mission, though they have few other words than one that does;
    one of chance besides."""
    max_matches: Count = 6
    """Captions that fulfil a mission, of which there are many where it says little."""
    seed: Seed = 0
    """Of the choices."""


def main(arguments: list[str]) -> None:
    settings = parse(Settings, arguments, USAGE)
    paths = [settings.output / f"captions-{part}.tsv" for part in ("train", "test")]
    for path in paths:
        require_writable(path)
    if all(path.exists() for path in paths):
        print(f"{' and '.join(map(str, paths))} exist already.")
        return
    for path in paths:
        require(
            not path.exists(),
            f"{path} is there without the other part; remove it, or choose another --output.",
        )
    with progress("making captions"):
        parts = split(settings)
    settings.output.mkdir(parents=True, exist_ok=True)
    for path, pairs in zip(paths, parts, strict=True):
        lines = [f"{caption}\t{mission}\t{int(match)}\n" for caption, mission, match in pairs]
        write_durably(path, "".join(lines).encode())
        print(
            f"{path}: {len(pairs):,} lines, {sum(match for *_, match in pairs):,} of which match",
            flush=True,
        )


def split(settings: Settings) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on and to test on: the latter are those where either sentence names a held-out
    combination of color and kind."""
    random = np.random.default_rng(settings.seed)
    everything = [f"{color} {kind}" for color, kind in product(COLORS, KINDS)]
    held_out = set(random.choice(everything, settings.held_out, replace=False).tolist())
    pairs = pairs_of(orders(), settings, random)

    def tested(pair: Pair) -> bool:
        return any(
            " ".join(found) in held_out
            for sentence in pair[:2]
            for found in COMBINATION.findall(sentence)
        )

    return [pair for pair in pairs if not tested(pair)], [pair for pair in pairs if tested(pair)]


def orders() -> list[str]:
    """All missions, and those of one thing also without its color, or as an object."""
    own = missions()
    single = [mission for mission in own if " next to " not in mission]
    vague = [COLOR.sub("", mission) for mission in single]
    objects = [KIND.sub("object", mission) for mission in single if not mission.startswith("open")]
    return list(dict.fromkeys([*own, *vague, *objects]))


def pairs_of(ordered: Iterable[str], settings: Settings, random: np.random.Generator) -> list[Pair]:
    """Some captions that fulfil each mission; beside each, `near_misses` captions that do not
    fulfil it but differ in few words, and one at random. No line is repeated."""
    told = captions()
    vocabulary = sorted({word for caption in told for word in caption.split()})
    has = np.array([[word in caption.split() for word in vocabulary] for caption in told])
    result: list[Pair] = []
    for mission in ordered:
        true = [row for row, caption in enumerate(told) if fulfils(caption, mission)]
        chosen = random.permutation(true)[: settings.max_matches].tolist()
        result += [(told[row], mission, True) for row in chosen]
        for row in chosen:
            # Counts of words are whole numbers: the fractions put equal ones in random order.
            differing = (has != has[row]).sum(1) + random.random(len(told))
            differing[true] = np.inf
            false = np.flatnonzero(np.isfinite(differing))
            nearest = false[np.argsort(differing[false])][: 4 * settings.near_misses]
            near = random.permutation(nearest)[: settings.near_misses]
            far = random.choice(false)
            result += [(told[other], mission, False) for other in (*near, far)]
    return list(dict.fromkeys(result))


if __name__ == "__main__":
    main_with_clear_errors(main)
