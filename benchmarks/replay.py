"""What a replay of a million Atari steps costs, in memory and beyond it: python
benchmarks/replay.py

Fills the replay of DQN's recipe with random frames, uniform and prioritized, in memory and
memory-mapped, and tells memory, seconds to draw a visit's 256 transitions, and what a checkpoint
takes, the first time and after 50,000 steps. Needs 15 GB of memory and disk.
"""

import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil
import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agents.replay.buffer import Frames, Replay
from agents.replay.saving import save_replay

NUM_ENVS = 8
STEPS = 125
DRAWN = 256


def main(
    capacity: int = 1_000_000,
    output: Path = ROOT / "benchmarks" / "results" / "speed" / "replay.json",
) -> None:
    """Measures all four kinds.

    Args:
        capacity: Env steps to hold.
        output: The numbers.
    """
    result = {}
    for kind, priority_exponent, mapped in (
        ("uniform", 0.0, False),
        ("prioritized", 0.5, False),
        ("memory-mapped", 0.0, True),
    ):
        with tempfile.TemporaryDirectory() as folder:
            result[kind] = measured(capacity, priority_exponent, Path(folder), mapped)
        print(kind, json.dumps(result[kind]), flush=True)
    output.write_text(json.dumps(result, indent=1) + "\n")


def measured(
    capacity: int, priority_exponent: float, folder: Path, mapped: bool
) -> dict[str, float]:
    before = psutil.Process().memory_info()
    replay = Replay(
        capacity,
        NUM_ENVS,
        (4, 84, 84),
        np.uint8,
        (),
        np.int64,
        stack=4,
        n_step=1,
        discount=0.99,
        priority_exponent=priority_exponent,
        memory_map=folder / "mapped" if mapped else None,
    )
    random = np.random.default_rng(0)
    add_seconds = fill(replay, capacity, random)
    after = psutil.Process().memory_info()
    draws = []
    for seed in range(200):
        started = perf_counter()
        replay.draw(DRAWN, np.random.default_rng(seed), 0.4, 8)
        draws.append(perf_counter() - started)
    first = seconds_to_save(replay, folder / "first", None)
    fill(replay, 50_000, random)
    second = seconds_to_save(replay, folder / "second", folder / "first")
    return {
        "gib": round((after.rss - before.rss) / 2**30, 2),
        "gib_not_shared_with_the_file": round(
            (after.rss - after.shared - before.rss + before.shared) / 2**30, 2
        ),
        "microseconds_to_add_a_step": round(add_seconds / capacity * 1e6, 1),
        "milliseconds_to_draw_256": round(float(np.median(draws)) * 1e3, 2),
        "seconds_to_save_all": round(first, 1),
        "seconds_to_save_50_000_more": round(second, 1),
    }


def fill(replay: Replay, env_steps: int, random: np.random.Generator) -> float:
    """Seconds to add so many, in episodes of about 500 steps; making them does not count."""
    shape = (STEPS, NUM_ENVS)
    seconds = 0.0
    frames = random.integers(0, 256, (*shape, 84, 84), np.uint8)
    for _ in range(env_steps // (STEPS * NUM_ENVS)):
        first = random.random(shape) < 1 / 500
        terminated = np.roll(first, -1, 0)
        zeros = np.zeros(shape, np.float32)
        actions = np.zeros(shape, np.int64)
        nothing = np.full(shape, None, object)
        experience = Frames(
            frames, actions, zeros, terminated, np.zeros_like(first), first, first, nothing
        )
        started = perf_counter()
        replay.add(experience)
        seconds += perf_counter() - started
    return seconds


def seconds_to_save(replay: Replay, folder: Path, previous: Path | None) -> float:
    started = perf_counter()
    save_replay(replay, folder, previous)
    return perf_counter() - started


if __name__ == "__main__":
    tyro.cli(main)
