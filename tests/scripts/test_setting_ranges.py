"""Every number of every settings class has a range, which all that is recommended keeps to."""

import importlib
import math
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from agents.experiment import Experiment, InvalidExperiment
from agents.settings.ppo import PPO
from agents.training.sweep import Sweep
from common.ranges import allowed_numbers, check_ranges
from envs.probe import CountingConfig, FlawedConfig
from language.settings.encoders import ReaderConfig
from perception.settings.encoders import MLPConfig
from perception.settings.tasks import DigitsTask
from scripts import recipes
from scripts.cli import SweepSettings, parse_experiment, parse_sweep, parts_of
from scripts.recipes.modules import MODULES
from scripts.recipes.modules import SAVED_CLASSES as MODULE_PLUGS

COMMANDS = sorted(
    path.stem
    for path in (Path(__file__).parents[2] / "scripts").glob("*_*.py")
    if path.stem[0] != "_"
)
SETTINGS = [
    module.Settings
    for module in (
        importlib.import_module(f"scripts.{command}") for command in (*COMMANDS, "translate")
    )
    if hasattr(module, "Settings")
]
CLASSES = sorted(
    {
        *recipes.SAVED_CLASSES.values(),
        *MODULE_PLUGS.values(),
        Experiment,
        Sweep,
        FlawedConfig,
        *SETTINGS,
    },
    key=lambda cls: (cls.__module__, cls.__name__),
)
REQUIRED = {
    "env": CountingConfig(),
    "algo": PPO(),
    "encoder": MLPConfig(),
    "reader": ReaderConfig(),
    "task": DigitsTask(),
    "run": Path("run"),
    "module": Path("module"),
    "policy": "random",
}
"""Values of the fields without a default, by name."""
NUMBERS = (-1, 0, 10**10, 2**62, True, math.nan, math.inf)
ENVIRONMENTS = (
    "CartPole-v1",
    "MultiRoom-N4-S5",
    "MemoryS11",
    "LanguageGoToLocal",
    "care-episode",
    "sepsis-icu",
    "glucose-t1d",
    "tumor-imaging",
)
"""Environments for which recipes have settings of their own, besides those whose recipes
test_recipes.py validates."""


def settings_of(cls: type, **changes: Any) -> Any:
    """An instance with these changes, checked as the command line and saved experiments are."""
    required = {field.name: REQUIRED[field.name] for field in fields(cls) if has_no_default(field)}
    built = cls(**required | changes)
    check_ranges(built)
    return built


def refusal_of(cls: type, name: str, value: Any) -> str | None:
    """What is said of a value of a field where it is refused."""
    try:
        settings_of(cls, **{name: value})
    except ValueError as refusal:
        return str(refusal)
    return None


def has_no_default(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def is_numeric(hint: Any) -> bool:
    return hint in (int, float) or any(map(is_numeric, get_args(hint)))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_number_has_a_range_and_others_are_refused_by_name(cls: type) -> None:
    hints = get_type_hints(cls)
    numeric = {field.name for field in fields(cls) if is_numeric(hints[field.name])}
    ranges = {name: allowed for name, allowed in allowed_numbers(cls).items() if name in numeric}
    assert ranges.keys() == numeric
    for name, allowed in ranges.items():
        for number in NUMBERS:
            value = (number,) if get_args(hints[name])[1:] == (...,) else number
            refusal = refusal_of(cls, name, value)
            assert refusal is not None or allowed.includes(number), (name, number)
            assert refusal is None or (
                name in refusal and "\n" not in refusal and len(refusal) < 200
            ), refusal


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_recipe_keeps_to_the_ranges(environment: str) -> None:
    config = recipes.environment_named(environment)
    for recipe in recipes.RECIPES.values():
        for flag, part in parts_of(recipe(config)):
            check_ranges(part, flag)


def test_every_choice_and_module_keeps_to_the_ranges() -> None:
    choices = [recipes.ENCODERS, recipes.MEMORIES, recipes.REWARDS, MODULES]
    for build in (build for table in choices for build in table.values()):
        for flag, part in parts_of(build()):
            check_ranges(part, flag)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--num-envs 10000000000",
            "--num-envs must be a whole number from 1 to 1,048,576, not 10,000,000,000.",
        ),
        (
            "--algo.batch-size 10000000000 --algo dqn",
            "--algo.batch-size must be a whole number from 1 to 1,048,576, ",
        ),
        (
            "--env hiv-sti --env.history 10000000000",
            "--env.history must be a whole number from 1 to 1,000, ",
        ),
        (
            "--env CartPole-v1 --encoder.hidden-sizes 64 0",
            "--encoder.hidden-sizes must each be a whole number from 1 ",
        ),
        (
            "--env Pong --encoder parts --encoder.small-images.channels 0",
            "--encoder.small-images.channels must each be a ",
        ),
        (
            "--resources.learner-gpus -1",
            "--resources.learner-gpus must be a number from 0 to 1,000,000,000, not -1.",
        ),
    ],
)
def test_the_command_line_is_told_the_option_and_its_range(arguments: str, message: str) -> None:
    with pytest.raises(InvalidExperiment) as refusal:
        parse_experiment(arguments.split())
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--gpus-per-trial -1",
            "--gpus-per-trial must be a number from 0 to 1,000,000,000, not -1.",
        ),
        ("--at-a-time -1", "--at-a-time must be a whole number from 0 to 1,048,576, not -1."),
        ("--seed -1", "--seed must be a whole number from 0 to 4,294,967,295, not -1."),
        ("--algo.epochs 0", "--algo.epochs must be a whole number from 1 to 1,000, not 0."),
    ],
)
def test_a_sweep_is_told_options_as_it_has_them(arguments: str, message: str) -> None:
    with pytest.raises(InvalidExperiment) as refusal:
        parse_sweep(arguments.split())
    assert str(refusal.value) == message


def test_the_options_of_a_sweep_stand_at_the_top() -> None:
    experiment = Experiment(CountingConfig(), PPO(), MLPConfig())
    flags = {flag for flag, _ in parts_of(SweepSettings(Sweep(), experiment))}
    assert flags == {
        "--",
        "--env.",
        "--algo.",
        "--encoder.",
        "--memory.",
        "--reward.",
        "--resources.",
    }
