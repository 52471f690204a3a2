"""Trains an agent: python scripts/train_agent.py --env SpaceInvaders"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.experiment import Experiment
from agents.monitoring.progress import progress
from scripts.cli import main_with_clear_errors, parse_experiment


def main(arguments: list[str]) -> None:
    experiment, run_dir = parse_experiment(arguments)
    run(experiment, run_dir)


def run(experiment: Experiment, run_dir: Path | None) -> None:
    """Trains from the beginning, or goes on in the folder of a run."""
    # Here, because help and mistakes do without torch and Ray, which take seconds to import.
    with progress("loading torch and Ray", at_once=True):
        from agents.training.train import resume, train

    if run_dir is None:
        train(experiment)
    else:
        resume(experiment, run_dir)


if __name__ == "__main__":
    main_with_clear_errors(main)
