"""What reading instructions costs: python benchmarks/reading.py

Sentences a second of each reader; and how much slower PPO's loop on LanguageGoToLocal is with it
than with a reader that tells nothing, iteration beside iteration."""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch
import tyro
from torch import Tensor, nn

from agents.engine.config import rllib_config
from agents.processes.cluster import ray_running
from benchmarks.speed import surroundings, write
from envs.grids.instructed import in_bytes
from envs.grids.missions import missions
from language.readers.word_reader import KINDS
from language.settings.encoders import ReaderConfig, SentenceReaderConfig
from perception.settings.encoders import InstructedEncoderConfig
from scripts import recipes


@dataclass(frozen=True)
class SilentConfig:
    """Tells the same of every sentence."""

    def build(self) -> "Silent":
        return Silent()


class Silent(nn.Module):
    output_dim = 64

    def forward(self, sentences: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        whole = torch.zeros(len(sentences), self.output_dim, device=sentences.device)
        return (
            whole[:, None],
            torch.ones(len(sentences), 1, dtype=torch.bool, device=sentences.device),
            whole,
        )


READERS: dict[str, Callable[[], Any]] = {
    **{kind: lambda kind=kind: ReaderConfig(kind) for kind in KINDS},
    "minilm": lambda: SentenceReaderConfig("minilm"),
    "multilingual": lambda: SentenceReaderConfig("multilingual"),
}


def main(
    iterations: int = 8,
    readers: tuple[str, ...] = tuple(READERS),
    output: Path = ROOT / "benchmarks" / "results" / "reading" / "speed.json",
) -> None:
    """Measures.

    Args:
        iterations: Of each loop, of 8,192 env steps each.
        readers: Which to measure.
        output: Where the numbers go.
    """
    told = {
        "command": " ".join(["python benchmarks/reading.py", *sys.argv[1:]]),
        **surroundings(),
        "readers": {},
    }
    for name in readers:
        told["readers"][name] = {
            "sentences_per_second": sentences_per_second(READERS[name]())
        } | loop(READERS[name](), iterations)
        print(name, told["readers"][name], flush=True)
        write(output, told)


def sentences_per_second(config: Any) -> float:
    """64 different missions at a time that were never read before, without gradients."""
    rows = torch.stack([torch.from_numpy(in_bytes(mission).copy()) for mission in missions()])
    reader = config.build()
    seconds = []
    with torch.no_grad():
        for part in rows[: 64 * 20].split(64):
            started = time.perf_counter()
            reader(part)
            seconds.append(time.perf_counter() - started)
    return round(64 / statistics.median(seconds))


def loop(config: Any, iterations: int) -> dict[str, float]:
    """How many times as long an iteration of PPO takes with this reader: median, lowest and
    highest."""
    base = recipes.recipe_named("ppo")(recipes.environment_named("LanguageGoToLocal"))
    experiments = [
        replace(base, encoder=InstructedEncoderConfig(reader))
        for reader in (SilentConfig(), config)
    ]
    with ray_running(base):
        silent, reading = (rllib_config(experiment).build_algo() for experiment in experiments)
        ratios = []
        for number in range(iterations + 1):
            first = seconds_of(silent)
            second = seconds_of(reading)
            if number:  # the first one warms up
                ratios.append(second / first)
        silent.stop()
        reading.stop()
    return {
        "times_as_long": round(statistics.median(ratios), 3),
        "least": round(min(ratios), 3),
        "most": round(max(ratios), 3),
    }


def seconds_of(algorithm: Any) -> float:
    started = time.perf_counter()
    algorithm.train()
    return time.perf_counter() - started


if __name__ == "__main__":
    tyro.cli(main)
