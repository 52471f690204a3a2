"""What a checkpoint plays: an evaluation and a film, or why there is none."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.evaluation.evaluate import Evaluation, Stopped, evaluate, never
from agents.evaluation.record import record
from agents.experiment import Experiment
from agents.interfaces import EnvironmentFailure
from agents.monitoring.progress import Advance, unseen

FILM_STEPS = 1_500
FILM_WIDTH = 160
"""Least width, in pixels, of the films of evaluations: encoding takes time from the training."""


@dataclass(frozen=True)
class Film:
    """One episode to look at."""

    video: bytes
    """A WebM file."""
    gif: bytes
    """The same, shorter and smaller, for TensorBoard."""


@dataclass(frozen=True)
class Judgment:
    """What a checkpoint plays: its evaluation and a film, or why there is none."""

    env_steps: int
    checkpoint: str
    evaluation: Evaluation | None = None
    no_evaluation: str = ""
    film: Film | None = None
    no_film: str = ""


def judge(
    experiment: Experiment,
    network: Any,
    env_steps: int,
    checkpoint: str,
    stop: Callable[[], bool] = never,
    advance: Advance = unseen,
) -> Judgment:
    """Plays as many episodes as the experiment's evaluations have, and films one; an environment
    may fail in any way. `advance` is called after each episode and after the film.

    Raises Stopped soon after `stop()` says so during the evaluation; during the film, the
    evaluation is returned without one."""
    judgment = Judgment(env_steps, checkpoint)
    try:
        evaluation = evaluate(
            experiment,
            network,
            episodes=experiment.evaluation_episodes,
            seed=experiment.seed + 10_000,
            deterministic=False,
            checkpoint=checkpoint,
            stop=stop,
            advance=advance,
        )
    except EnvironmentFailure as failure:
        return replace(judgment, no_evaluation=str(failure))
    judgment = replace(judgment, evaluation=evaluation)
    try:
        filmed = film(experiment, network, stop)
        advance()
        return replace(judgment, film=filmed)
    except Stopped:  # the evaluation is whole
        return replace(judgment, no_film="the run was stopped")
    except Exception as failure:  # a film is not worth a training
        return replace(judgment, no_film=" ".join(str(failure).split()) or type(failure).__name__)


def film(experiment: Experiment, network: Any, stop: Callable[[], bool]) -> Film:
    """The beginning of one episode; its file is written as it is played, so that only what is
    encoded is in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.webm"
        recorded = record(
            experiment,
            network,
            path,
            seed=experiment.seed,
            deterministic=False,
            max_steps=FILM_STEPS,
            min_width=FILM_WIDTH,
            stop=stop,
        )
        return Film(path.read_bytes(), recorded.gif)
