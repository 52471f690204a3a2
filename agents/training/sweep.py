"""The state of a sweep: what was asked for, its trials and their evaluations, as JSON in the
sweep's folder."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from agents.experiment import Experiment, InvalidExperiment, require
from agents.settings.search_space import Domain, SearchSpace
from common.ranges import NonNegative, Positive, Range, Size, SizeOrZero, check_ranges

SWEEP = "sweep.json"
FORMAT = "praxis-sweep-1"
RUN_NAME = re.compile(r"trial-\d{5,}")
FIXED_IN_A_RUN = ("n_step",)
"""Settings that a replay depends on, so that PBT cannot change them within a run."""


@dataclass(frozen=True)
class Sweep:
    """Which trials, and how they compete."""

    trials: Size = 16
    """Runs, each with settings of its own."""
    at_a_time: SizeOrZero = 0
    """Most trials at a time; 0 as many as the machines hold."""
    cpus_per_trial: Positive = 1.0
    """Cores that each trial holds, besides those of its env runners and learners."""
    gpus_per_trial: NonNegative = 0.0
    """GPUs, or the share of one, that each trial holds, where it has no learners apart."""
    scheduler: Literal["asha", "pbt"] = "asha"
    """asha ends the poorer trials early (Li et al. 2020), and Optuna proposes what the next ones
    try. pbt lets the poorer ones go on from the better ones' weights, with settings near to theirs
    (Jaderberg et al. 2017)."""
    reduction: Annotated[int, Range(2, 2**20)] = 3
    """asha: one in so many trials goes on at each halving."""
    vary: tuple[str, ...] = ()
    """Settings to vary, of the algorithm's search space; all of it if not said."""

    def validate(self) -> None:
        """Raises InvalidExperiment, in one line, for anything that could not run."""
        try:
            check_ranges(self, "--")
        except ValueError as mistake:
            raise InvalidExperiment(str(mistake)) from mistake
        gpus = self.gpus_per_trial
        require(
            gpus <= 1 or float(gpus).is_integer(),
            f"--gpus-per-trial above 1 must be whole, and is {gpus}.",
        )


@dataclass(frozen=True)
class Trial:
    """One trial of a sweep, as far as it is known."""

    run: Path
    """Its run folder."""
    settings: dict[str, Any]
    """The values of the settings that are varied."""
    evaluations: tuple[tuple[int, float], ...] = ()
    """Env steps and mean return of each evaluation."""
    best: float | None = None
    """Mean return of its best evaluation."""
    env_steps: int = 0
    """Env steps of its newest checkpoint."""
    ended: str = ""
    """`whole`, `early`, or why it failed; empty while it is to go on."""

    @property
    def complete(self) -> bool:
        """Whether it has ended without a failure, by itself or because the sweep ended it early."""
        return self.ended in ("whole", "early")


def search_space(experiment: Experiment, settings: Sweep) -> SearchSpace:
    """The settings that are varied, by name in the algorithm's settings, with their domains."""
    space = experiment.algo.search_space
    if settings.scheduler == "pbt":
        space = {name: domain for name, domain in space.items() if name not in FIXED_IN_A_RUN}
    unknown = [name for name in settings.vary if name not in space]
    can = f"of {experiment.algo.name} with {settings.scheduler} can: {', '.join(space)}."
    require(not unknown, f"{', '.join(unknown)} cannot be varied; {can}")
    return {name: space[name] for name in settings.vary or space}


def with_settings(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """The experiment with these settings of its algorithm. Raises InvalidExperiment for settings
    that cannot be."""
    try:
        return replace(experiment, algo=replace(experiment.algo, **settings))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError) as mistake:
        raise InvalidExperiment(str(mistake)) from mistake


def write_sweep(folder: Path, settings: Sweep, trials: list[Trial]) -> None:
    """Writes sweep.json, from which `read_sweep` reads the same."""
    from common.files import write_json

    described = [asdict(trial) | {"run": trial.run.name} for trial in trials]
    content = {"format": FORMAT, "settings": asdict(settings), "trials": described}
    write_json(folder / SWEEP, content)


def read_sweep(folder: Path, experiment: Experiment) -> tuple[Sweep, list[Trial]]:
    """The settings and trials of the sweep in a folder; whoever wrote it, its trials lie in that
    folder and have settings of the experiment's search space.

    Raises InvalidExperiment where there is none or it is damaged."""
    from typeguard import TypeCheckError, check_type

    try:
        content = json.loads((folder / SWEEP).read_text())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
        settings: Sweep = checked(Sweep, content["settings"])
        settings.validate()
        space = search_space(experiment, settings)
        described = check_type(content["trials"], list[dict[str, Any]])
        trials = [read_trial(folder, one, experiment, space) for one in described]
        if len({trial.run for trial in trials}) < len(trials):
            raise ValueError("two of its trials have one run folder")
        if len(trials) > settings.trials:
            raise ValueError(f"it has {len(trials)} trials of {settings.trials}")
    except (OSError, LookupError, TypeError, ValueError, TypeCheckError, RecursionError) as damage:
        raise InvalidExperiment(f"{folder} holds no sweep that could go on: {damage}") from damage
    return settings, trials


def read_trial(
    folder: Path, described: dict[str, Any], experiment: Experiment, space: Mapping[str, Domain]
) -> Trial:
    """The trial that `write_sweep` described. Raises ValueError, LookupError or TypeCheckError for
    anything else."""
    from typeguard import check_type

    name = check_type(described["run"], str)
    if not RUN_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no trial's folder")
    trial: Trial = checked(Trial, described | {"run": folder / name})
    numbers = [number for evaluation in trial.evaluations for number in evaluation]
    if not all(math.isfinite(number) for number in (*numbers, trial.best or 0.0)):
        raise ValueError(f"{name} has returns that are not finite")
    if trial.settings.keys() != space.keys():
        raise ValueError(f"{name} must have the settings {', '.join(space)}")
    for setting, value in trial.settings.items():
        if not space[setting].contains(value):
            raise ValueError(f"{name} has {setting} {value!r}, which is not in {space[setting]}")
    with_settings(experiment, trial.settings)
    return trial


def clipped(config: dict[str, Any], space: Mapping[str, Domain]) -> dict[str, Any]:
    """Settings moved into the space's bounds."""
    return config | {name: domain.clip(config[name]) for name, domain in space.items()}


def checked(cls: type, described: Any) -> Any:
    """A dataclass from JSON's types: lists become tuples, and each value must be of its field's
    type."""
    from typeguard import CollectionCheckStrategy, check_type

    hints = get_type_hints(cls)
    values = {
        name: in_tuples(value) for name, value in check_type(described, dict[str, Any]).items()
    }
    for name, value in values.items():
        check_type(value, hints[name], collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    return cls(**values)


def in_tuples(value: Any) -> Any:
    """Lists as tuples, those within them as well; anything else as it is."""
    return tuple(in_tuples(one) for one in value) if isinstance(value, list) else value
