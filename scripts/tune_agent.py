"""Looks for better settings: python scripts/tune_agent.py --env CartPole-v1 --algo ppo --trials
16"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.experiment import Experiment, next_command
from agents.monitoring.progress import progress
from agents.training.sweep import Sweep, Trial
from scripts.cli import main_with_clear_errors, parse_sweep


def main(arguments: list[str]) -> None:
    run_sweep(*parse_sweep(arguments))


def run_sweep(experiment: Experiment, settings: Sweep, earlier: list[Trial] | None) -> None:
    """Runs the trials that are left, and prints what they came to."""
    # Here, because help and mistakes do without torch and Ray, which take seconds to import.
    with progress("loading torch and Ray", at_once=True):
        from agents.training.tune import sweep

    trials = sweep(experiment, settings, earlier)
    if not trials:
        return
    print(report(trials))
    print("The best one is a run like any other:")
    print(f"  {next_command('evaluate_agent.py', trials[0].run, '--checkpoint', 'best')}")


def report(trials: list[Trial]) -> str:
    """A line a trial, the best one first."""
    lines = []
    for trial in trials:
        mean = "no evaluation" if trial.best is None else f"mean return {trial.best:.1f}"
        settings = ", ".join(f"{name} {shown(value)}" for name, value in trial.settings.items())
        lines.append(
            f"{trial.run}: {mean}, {trial.ended} after {trial.env_steps:,} env steps; {settings}"
        )
    return "\n".join(lines)


def shown(value: object) -> str:
    """A float with three significant digits, anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main_with_clear_errors(main)
