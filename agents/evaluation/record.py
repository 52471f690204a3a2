"""Films of an agent that plays."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.environments import all_environments, closing_quietly
from agents.evaluation.evaluate import Stopped, act, batch_of_one, device_of, never
from agents.evaluation.film import FilmWriter, frame_rate, frames_of
from agents.experiment import Experiment, InvalidExperiment
from agents.monitoring.progress import Advance, unseen
from agents.networks.packing import Packing


@dataclass(frozen=True)
class Recorded:
    """What a film shows."""

    frames: int
    total_return: float
    """The rewards until the film ends, added up."""
    gif: bytes


def record(
    experiment: Experiment,
    network: Any,
    path: Path,
    *,
    seed: int,
    deterministic: bool,
    max_steps: int,
    min_width: int = 320,
    stop: Callable[[], bool] = never,
    advance: Advance = unseen,
) -> Recorded:
    """Films one episode, or its first `max_steps` steps, as a WebM video at `path`.

    Raises InvalidExperiment for an environment that cannot be filmed, EnvironmentFailure for one
    that fails, and Stopped soon after `stop()` says so; then there is no file."""
    with all_environments():
        env = experiment.env.build()
    generator = torch.Generator(device_of(network)).manual_seed(seed)
    memory = network.no_memory(1)
    total = 0.0
    with closing_quietly(env), FilmWriter(path, frame_rate(env), min_width) as writer:
        packing = Packing(network.observation_space)
        with all_environments():
            observation, _ = env.reset(seed=seed)
            packing.pack_one(observation)  # raises for what is not of the space
        for frame in frames_of(env):
            writer.add(frame)
        for _ in range(max_steps):
            if stop():
                raise Stopped
            [action], memory = act(
                network, batch_of_one(observation), memory, generator, deterministic
            )
            with all_environments():
                observation, reward, terminated, truncated, _ = env.step(action)
                packing.pack_one(observation)
                total += float(np.asarray(reward).item())
            for frame in frames_of(env):
                writer.add(frame)
            advance()
            if terminated or truncated:
                break
        if not writer.frames:
            raise InvalidExperiment(
                "The environment cannot be filmed: its render() gave no frame in a whole episode."
            )
    return Recorded(writer.frames, total, writer.gif())
