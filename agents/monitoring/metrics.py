"""Metric names, and where metrics go: TensorBoard, progress.jsonl and the terminal."""

import io
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import numpy as np
import psutil
from PIL import Image
from rich.console import Console
from rich.live import Live
from rich.table import Table
from torch.utils.tensorboard.summary import hparams, text

from agents.checkpoint import is_count
from agents.monitoring.event_file import EventFile
from agents.monitoring.progress import (
    LINE_EVERY_SECONDS,
    REFRESH_SECONDS,
    SILENT_SECONDS,
    Advance,
    Pace,
    duration,
    in_lines,
    shown,
)
from common.files import write_durably

RETURN_MEAN = "episode/return_mean"
LENGTH_MEAN = "episode/length_mean"
LOSS = "learner/loss"
STEPS_PER_SECOND = "speed/env_steps_per_second"
EVALUATION_RETURN_MEAN = "evaluation/return_mean"
MEMORY = "memory/rss_mib"


def episode_metrics(returns: Sequence[float], lengths: Sequence[int]) -> dict[str, float]:
    """Statistics of true returns and lengths of whole training episodes (`RecentEpisodes`); nothing
    of none."""
    if not returns:
        return {}
    return {
        f"episode/{what}_{statistic.__name__.removeprefix('a')}": float(statistic(values))
        for what, values in (("return", returns), ("length", lengths))
        for statistic in (np.mean, np.median, np.amin, np.amax)
    }


def speed_metrics(
    env_steps: int, iteration_seconds: float, phases: dict[str, float]
) -> dict[str, float]:
    """Env steps a second, overall and as if only that phase took time."""
    speeds = {
        f"speed/{phase}_env_steps_per_second": env_steps / max(s, 1e-9)
        for phase, s in phases.items()
    }
    return {STEPS_PER_SECOND: env_steps / max(iteration_seconds, 1e-9)} | speeds


def memory_metrics() -> dict[str, float]:
    """The memory that this process holds (resident set size), in MiB."""
    return {MEMORY: psutil.Process().memory_info().rss / 2**20}


class Display(Protocol):
    """Where a run shows its metrics, says a line and shows how far a part of it is."""

    def show(self, env_steps: int, metrics: dict[str, float]) -> None: ...
    def say(self, text: str) -> None: ...
    def progress(self, what: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Shows how far the block is, as agents.monitoring.progress.progress does for commands."""
        ...

    def close(self) -> None: ...


class RunLog:
    """One run's TensorBoard events and progress.jsonl, with the same names in both."""

    def __init__(self, run_dir: Path, env_steps: int) -> None:
        # Events after the checkpoint that the run goes on from are history that did not happen.
        self.tensorboard = EventFile(run_dir, first_step=env_steps + 1)
        path = run_dir / "progress.jsonl"
        kept = [line for line in read_progress(path) if line["env_steps"] <= env_steps]
        write_durably(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        # Line by line, so that a kill costs no line that was written.
        self.progress = path.open("a", buffering=1)

    def scalars(self, env_steps: int, metrics: dict[str, float]) -> None:
        """Writes metrics; a number that is not finite is null in progress.jsonl."""
        self.tensorboard.add_scalars(metrics, env_steps)
        finite = {name: value if np.isfinite(value) else None for name, value in metrics.items()}
        line = {"env_steps": env_steps, "time": round(time.time(), 3)} | finite
        self.progress.write(json.dumps(line) + "\n")

    def experiment(self, settings: dict[str, Any]) -> None:
        """Writes the settings into TensorBoard, as JSON and, name by name, as hyperparameters."""
        described = json.dumps(settings, indent=2)
        self.tensorboard.add(text("experiment", f"```json\n{described}\n```"))
        flat = {
            k: v if isinstance(v, bool | int | float | str) else json.dumps(v)
            for k, v in flatten(settings)
        }
        for summary in hparams(flat, {RETURN_MEAN: 0.0, EVALUATION_RETURN_MEAN: 0.0}):
            self.tensorboard.add(summary)

    def gif(self, env_steps: int, animation: bytes) -> None:
        """Shows a GIF in TensorBoard's image tab."""
        size = Image.open(io.BytesIO(animation)).size
        self.tensorboard.add_image("video/agent", animation, size, env_steps)

    def close(self) -> None:
        self.tensorboard.close()
        self.progress.close()


class LiveDisplay:
    """A table that stays in place at the foot of a terminal."""

    def __init__(self, title: str, total_env_steps: int) -> None:
        self.title = title
        self.total = total_env_steps
        self.rows: dict[str, str] = {}
        self.live = Live(console=Console(), refresh_per_second=4)
        self.live.start()
        self.live.update(self._table())

    def show(self, env_steps: int, metrics: dict[str, float]) -> None:
        self.rows = summary(env_steps, self.total, metrics)
        self.live.update(self._table())

    def say(self, text: str) -> None:
        self.live.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def progress(self, what: str, total: int | None = None) -> AbstractContextManager[Advance]:
        return shown(Pace(what, total), self._follow)

    def close(self) -> None:
        self.live.stop()

    def _follow(self, pace: Pace, over: Event) -> None:
        wait = SILENT_SECONDS
        while not over.wait(wait):
            self.live.update(self._table(caption=str(pace)))
            wait = REFRESH_SECONDS
        self.live.update(self._table())

    def _table(self, caption: str | None = None) -> Table:
        table = Table(title=self.title, caption=caption, show_header=False, min_width=60)
        for name, value in self.rows.items():
            table.add_row(name, value)
        return table


class LineDisplay:
    """A line every ten seconds, for logs and pipes."""

    def __init__(self, title: str, total_env_steps: int) -> None:
        self.total = total_env_steps
        self.last = float("-inf")
        self.say(title)

    def show(self, env_steps: int, metrics: dict[str, float]) -> None:
        """Prints a line of metrics if ten seconds have passed since the one before, or at the end
        of the run."""
        if time.monotonic() - self.last >= LINE_EVERY_SECONDS or env_steps >= self.total:
            self.last = time.monotonic()
            self.say(
                "  ".join(f"{k} {v}" for k, v in summary(env_steps, self.total, metrics).items())
            )

    def say(self, text: str) -> None:
        print(text, flush=True)

    def progress(self, what: str, total: int | None = None) -> AbstractContextManager[Advance]:
        return shown(Pace(what, total), partial(in_lines, say=self.say))

    def close(self) -> None: ...


def display(title: str, total_env_steps: int) -> Display:
    """A display for standard output: a table on a terminal, else lines."""
    kind = LiveDisplay if sys.stdout.isatty() else LineDisplay
    return kind(title, total_env_steps)


def summary(env_steps: int, total: int, metrics: dict[str, float]) -> dict[str, str]:
    """What fits on a screen: progress, speed, time left, return and losses."""
    speed = metrics.get(STEPS_PER_SECOND, 0.0)
    left = max(0, total - env_steps) / max(speed, 1e-9)
    rows = {"steps": f"{env_steps:,}/{total:,}", "steps/s": f"{speed:,.0f}"}
    # Steps that are only collected are faster than those that are learnt from.
    rows["time left"] = duration(left) if LOSS in metrics else "learning has not begun"
    if RETURN_MEAN in metrics:
        rows["return"] = f"{metrics[RETURN_MEAN]:.1f}"
        rows["length"] = f"{metrics[LENGTH_MEAN]:.0f}"
    learner = {
        k.removeprefix("learner/"): v for k, v in metrics.items() if k.startswith("learner/")
    }
    return rows | {
        k: f"{v:.3g}" for k, v in learner.items() if k.endswith("loss") or k in ("entropy", "kl")
    }


def read_progress(path: Path) -> list[dict[str, Any]]:
    """The lines of a progress.jsonl. What is not a line of a run, as a kill or a damage leaves it,
    is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_bytes().splitlines():
        with suppress(ValueError, RecursionError):
            content = json.loads(line)
            if isinstance(content, dict) and is_count(content.get("env_steps")):
                lines.append(content)
    return lines


def flatten(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as pairs of a key, whose parts are joined by dots, and a value."""
    pairs: list[tuple[str, Any]] = []
    for key, value in settings.items():
        pairs += (
            flatten(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else [(prefix + key, value)]
        )
    return pairs
