"""What the commands share: the one place where tyro is called, and how a mistake is told."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import tyro

from agents.experiment import Experiment, InvalidExperiment, require
from scripts import recipes

USAGE = """Trains an agent and writes a run folder: checkpoints, TensorBoard events, videos.

The three choices, made first, set the defaults of everything below:
  --env NAME       an Atari game (SpaceInvaders), a gymnasium id (CartPole-v1)
  --algo NAME      {algorithms} (default ppo)
  --encoder NAME   {encoders} (default by environment)
  --resume RUN     go on with a run folder; its settings are then the defaults
"""


def parse_experiment(arguments: list[str]) -> tuple[Experiment, Path | None]:
    """Recipe, then overrides; with --resume the saved experiment, then overrides, and its folder."""
    rest, choices = take_choices(arguments, ("env", "algo", "encoder", "resume"))
    run_dir = Path(choices["resume"]) if "resume" in choices else None
    if run_dir is not None:
        require("env" not in choices and "algo" not in choices, "--resume goes on with its own --env and --algo.")
        default = load_experiment(run_dir)
    else:
        environment = recipes.environment_named(choices.get("env", "SpaceInvaders"))
        default = recipes.recipe_named(choices.get("algo", "ppo"))(environment)
    if "encoder" in choices:
        default = replace(default, encoder=recipes.encoder_named(choices["encoder"]))
    usage = USAGE.format(algorithms=", ".join(recipes.RECIPES), encoders=", ".join(recipes.ENCODERS))
    return tyro.cli(Experiment, default=default, args=rest, description=usage), run_dir


def load_experiment(run_dir: Path) -> Experiment:
    """The experiment of a run folder; raises InvalidExperiment where there is none."""
    path = run_dir / "experiment.json"
    require(path.is_file(), f"{run_dir} is not a run folder: it has no experiment.json.")
    try:
        described = json.loads(path.read_text())
    except ValueError as damage:
        raise InvalidExperiment(f"{path} is damaged: {damage}") from damage
    require(isinstance(described, dict) and "experiment" in described, f"{path} is not one of ours.")
    return Experiment.from_json(described["experiment"], recipes.PLUGS)


def take_choices(arguments: list[str], names: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Takes `--name value` and `--name=value` out of the arguments, for these names alone."""
    rest, choices = [], {}
    waiting = iter(arguments)
    for argument in waiting:
        flag, equals, value = argument.partition("=")
        name = flag.removeprefix("--")
        if flag.startswith("--") and name in names:
            value = value if equals else next(waiting, "")
            require(value != "" and not value.startswith("--"), f"--{name} needs a name after it.")
            choices[name] = value
        else:
            rest.append(argument)
    return rest, choices


def main_with_clear_errors(main: Callable[[list[str]], None]) -> None:
    """Runs a command; a user's mistake becomes one line and exit code 2."""
    try:
        main(sys.argv[1:])
    except (InvalidExperiment, ValueError) as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
