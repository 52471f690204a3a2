"""Trains an agent: python scripts/train_agent.py --env SpaceInvaders"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.cli import main_with_clear_errors, parse_experiment


def main(arguments: list[str]) -> None:
    experiment, run_dir = parse_experiment(arguments)

    from agents.train import resume, train

    if run_dir is None:
        train(experiment)
    else:
        resume(experiment, run_dir)


if __name__ == "__main__":
    main_with_clear_errors(main)
