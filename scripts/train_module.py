"""Trains a module apart from any agent: python scripts/train_module.py unet"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents.experiment import next_command, require
from agents.monitoring.progress import progress
from agents.settings.pretraining import Pretraining
from scripts.cli import main_with_clear_errors, mistakes_are_the_users, parse
from scripts.recipes import named
from scripts.recipes.modules import MODULES

USAGE = """Trains a module that sees or reads, to be plugged into agents, and says how good it is on held-out data.

scripts/train_module.py NAME, where NAME is one of:
  {names}

scripts/train_module.py NAME --help lists the settings of that module."""


def main(arguments: list[str]) -> None:
    usage = USAGE.format(names="\n  ".join(MODULES))
    require(bool(arguments), f"It needs the name of a module: {', '.join(MODULES)}.")
    name, *rest = arguments
    if name in ("-h", "--help"):
        print(usage)
        return
    with mistakes_are_the_users():
        recipe = named(name, MODULES, "module")
    train(parse(Pretraining, rest, usage, recipe()))


def train(settings: Pretraining) -> None:
    """Trains the module, and prints how good it is."""
    # Here, because help and mistakes do without torch, which takes seconds to import.
    with progress("loading torch", at_once=True):
        from agents.training.pretrain import pretrain

    result = pretrain(settings)
    print(f"On held-out data, after {result.step:,} steps:")
    for metric, value in result.metrics.items():
        beside = f" (baseline {result.baseline[metric]:.3f})" if metric in result.baseline else ""
        print(f"  {metric} {value:.3f}{beside}")
    print(f"Done: {result.folder}. Next: {next_command('evaluate_module.py', result.folder)}")


if __name__ == "__main__":
    main_with_clear_errors(main)
