"""Films a trained agent: python scripts/record_agent.py runs/RUN"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.experiment import Experiment
from agents.interfaces import Environment
from agents.monitoring.progress import progress
from common.ranges import Range, Seed
from scripts.cli import main_with_clear_errors, parse_run, require_writable

USAGE = """Films one episode of a trained agent, as videos/<checkpoint>-seed<seed>.webm in its run folder."""


@dataclass(frozen=True)
class Settings:
    run: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    env: Environment
    """The run's environment; what is changed of it here, such as --env.held-out, was not so in
    training."""
    checkpoint: str = "latest"
    """latest, best (by the evaluations during training), or a name such as step-000001000448."""
    deterministic: bool = False
    """Take the policy's likeliest action instead of drawing from it."""
    seed: Seed = 1_000_000
    """Seeds environment and policy; another seed films another episode."""
    max_steps: Annotated[int, Range(1, 24 * 3_600 * 30, reason="which make a day of film")] = 27_000
    """Env steps after which the film ends, if the episode has not."""


def main(arguments: list[str]) -> None:
    settings, experiment = parse_run(Settings, arguments, USAGE)
    require_writable(settings.run / "videos" / "film.webm")
    film_run(settings, experiment)


def film_run(settings: Settings, experiment: Experiment) -> None:
    """Films the episode into the run's folder."""
    # Here, because help and mistakes do without torch and Ray, which take seconds to import.
    with progress("loading torch and Ray", at_once=True):
        from agents.evaluation.evaluate import load_chosen
        from agents.evaluation.record import record

    network, checkpoint = load_chosen(experiment, settings.run, settings.checkpoint)
    path = settings.run / "videos" / f"{checkpoint.name}-seed{settings.seed}.webm"
    with progress("filming env steps") as advance:
        recorded = record(
            experiment,
            network,
            path,
            seed=settings.seed,
            deterministic=settings.deterministic,
            max_steps=settings.max_steps,
            advance=advance,
        )
    print(f"{path}: {recorded.frames:,} frames, return {recorded.total_return:.1f}")


if __name__ == "__main__":
    main_with_clear_errors(main)
