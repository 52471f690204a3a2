"""Where logged or demonstrated episodes come from, compared with the environment that they are used
for."""

import json
from collections.abc import Mapping, Set
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from typeguard import TypeCheckError

from agents.experiment import Experiment, InvalidExperiment, dashed, from_json, require
from agents.interfaces import Environment
from agents.logged.log_file import read_about

MAY_DIFFER = frozenset(
    (
        "cohort",
        "days",
        "delay_days",
        "duplicated",
        "genotypes",
        "group",
        "held_out",
        "max_episode_steps",
        "max_frames_per_episode",
        "missing",
        "noise",
        "noop_max",
        "num_objects",
        "num_obstacles",
        "palette_shift",
        "parallel",
        "repeat_action_probability",
        "sensor_error",
    )
)
"""Settings by which an environment is met by others, is measured less exactly, or lasts longer.
Every other setting changes what observations, actions or rewards mean."""


def check_origins(experiment: Experiment) -> list[str]:
    """What an experiment's log or demonstrations have been made with otherwise than it trains, a
    line each.

    Raises InvalidExperiment where they are of another environment, or with settings that change
    what they mean."""
    lines = []
    for part in (experiment.algo, experiment.reward):
        if path := getattr(part, "demonstrations", ""):
            lines += differences(path, about(Path(path)), experiment.env)
    return lines


def about(path: Path) -> dict[str, Any]:
    """What a log file or a file of demonstrations says of itself; nothing where the latter does
    not."""
    if path.suffix == ".parquet":
        return read_about(path)
    try:
        with safe_open(path, "np") as file:
            described = (file.metadata() or {}).get("praxis", "{}")
        told = json.loads(described)
        require(isinstance(told, dict), "its metadata 'praxis' is no JSON object")
    except (OSError, SafetensorError, ValueError, RecursionError) as damage:
        raise InvalidExperiment(f"{path} holds no demonstrations ({damage}).") from damage
    return told


def differences(
    path: object, about: dict[str, Any], environment: Environment, may_differ: Set[str] = MAY_DIFFER
) -> list[str]:
    """The settings in which a file's environment and this one differ, a line each.

    Raises InvalidExperiment where it is another environment, has settings that this environment
    cannot have, or differs in others than `may_differ`."""
    name = environment.name
    if not about:
        return [
            f"Note: {path} does not say which environment it is of; it is taken to be of {name}."
        ]
    require("env" in about, f"{path} does not say which environment it is of.")
    require(about["env"] == name, f"{path} is of {about['env']}, not of {name}.")
    if "env_settings" not in about:
        return [
            f"Note: {path} does not say with which settings of {name} it was made; they are taken "
            "to be the same."
        ]
    made_with = described_environment(path, about, {type(environment).__name__: type(environment)})
    require(
        made_with.name == name,
        f"{path} says that it is of {name}, but its settings are of {made_with.name}.",
    )
    lines = []
    for field in fields(environment):  # pyright: ignore[reportArgumentType]
        then = getattr(made_with, field.name)
        now = getattr(environment, field.name)
        if then == now:
            continue
        with_then = option_of(field.name, then)
        with_now = option_of(field.name, now)
        require(
            field.name in may_differ,
            f"{path} was made with {with_then}, and this is with {with_now}, which means something "
            f"else; train or log with {with_then}, or make the file anew with {with_now}.",
        )
        lines.append(f"Note: {path} was made with {with_then}; here it is {with_now}.")
    return lines


def option_of(name: str, value: Any) -> str:
    """The option of the command line that gives an environment's setting this value."""
    if isinstance(value, bool):
        return f"--env.{'' if value else 'no-'}{dashed(name)}"
    return f"--env.{dashed(name)} {value}"


def described_environment(path: object, about: dict[str, Any], classes: Mapping[str, type]) -> Any:
    """The environment that `env_settings` describes, of one of these classes by name.

    Raises InvalidExperiment for anything else, and for settings that it cannot have."""
    settings = about.get("env_settings")
    try:
        require(isinstance(settings, dict), f"its env_settings are {settings!r}")
        return from_json(settings, classes)
    except (LookupError, TypeError, ValueError, TypeCheckError) as damage:
        reason = " ".join(str(damage).split()).rstrip(".")
        raise InvalidExperiment(
            f"{path} does not say what environment it is of: {reason}."
        ) from damage
