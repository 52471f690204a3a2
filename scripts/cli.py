"""What the commands share: the one place where tyro is called, and how a mistake is told."""

import codecs
import difflib
import errno
import io
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from tyro.conf import PositionalRequiredArgs

from agents.checkpoint import chosen_checkpoint
from agents.environments import opened
from agents.experiment import Experiment, InvalidExperiment, dashed, require
from agents.training.folders import check_new_folder
from agents.training.sweep import Sweep, Trial, read_sweep
from common.files import read_json
from common.ranges import OutOfRange, check_ranges
from scripts import recipes

Settings = TypeVar("Settings")

BY_NAME = {
    "encoder": recipes.encoder_named,
    "memory": recipes.memory_named,
    "reward": recipes.reward_named,
}
CHOICES = ("env", "algo", *BY_NAME, "resume")
MISTAKE_COLUMNS = 80
"""The width at which tyro tells of a mistake, whatever the terminal's is: a narrow one would break
names of options."""
MIN_HELP_COLUMNS = 40
"""In a narrower one, tyro never finds an end."""
ESCAPED = "praxis-escaped"
MISSING = re.compile(r"^.*Missing from \S+: (\S+) (.*?)\.? ?\(required\)$")
"""How tyro says that an argument is missing, with its name and what it is."""
NO_INTEGER = re.compile(r"invalid literal for int\(\) with base 10: (\S+)")
SURROGATES = re.compile("[\ud800-\udfff]")
"""What Python has in the place of bytes that it could not decode."""
TRAIN_USAGE = """Trains an agent and writes a run folder: checkpoints, TensorBoard events, videos.
"""
TUNE_USAGE = """Trains agents with many settings, a run folder each, and says which are best.
"""
CHOICES_USAGE = """The first choices set the defaults of everything below:
  --env NAME       an Atari game (SpaceInvaders), a robot (HalfCheetah), a grid (MultiRoom-N4-S5, or with instructions
                   LanguageGoToLocal), a treatment (sepsis-icu) or a gymnasium id
  --algo NAME      {algorithms} (default ppo)
  --encoder NAME   {encoders} (default by environment)
  --memory NAME    {memories} (default by environment; for ppo, appo, bc, r2d2 and recurrent-sac)
  --reward NAME    {rewards} (default environment)
  --resume FOLDER  go on with what was stopped; its settings are then the defaults
"""


def parse_experiment(arguments: list[str]) -> tuple[Experiment, Path | None]:
    """Recipe, then overrides; with --resume the saved experiment, then overrides, and its
    folder."""
    rest, choices = take_choices(arguments, CHOICES)
    run_dir = Path(choices["resume"]) if "resume" in choices else None
    experiment = parse(Experiment, rest, with_names(TRAIN_USAGE), default_experiment(choices))
    require(
        run_dir is None or Path(experiment.run_dir) == run_dir,
        "--resume goes on in its own folder; leave out --run-dir.",
    )
    if run_dir is not None:
        require_same_task(load_experiment(run_dir), experiment)
    elif experiment.run_dir:
        check_new_folder(
            Path(experiment.run_dir)
        )  # train does so too; here it is told before torch is imported
    return experiment, run_dir


def require_same_task(saved: Experiment, resumed: Experiment) -> None:
    """Raises InvalidExperiment where a run would go on with another environment, reward or first
    network."""
    require(
        resumed.env.name == saved.env.name,
        f"--resume goes on with its own environment, {saved.env.name}, not {resumed.env.name}.",
    )
    require(
        type(resumed.reward) is type(saved.reward),
        "--resume goes on with its own --reward; leave that out, or begin a new run.",
    )
    require(
        resumed.begin_from == saved.begin_from,
        "--resume goes on with its own network; leave out --begin-from.",
    )


def parse_sweep(arguments: list[str]) -> tuple[Experiment, Sweep, list[Trial] | None]:
    """As `parse_experiment`, with the sweep's own settings and, where it goes on, its earlier
    trials.

    Nothing can be changed in a sweep that goes on."""
    rest, choices = take_choices(arguments, CHOICES)
    experiment = default_experiment(choices)
    if "resume" in choices:
        changes = [*(f"--{name}" for name in BY_NAME if name in choices), *rest]
        require(
            not changes,
            f"--resume goes on with the sweep's own settings; leave out {' '.join(changes)}.",
        )
        settings, trials = read_sweep(Path(choices["resume"]), experiment)
        return experiment, settings, trials
    chosen = parse(SweepSettings, rest, with_names(TUNE_USAGE), SweepSettings(Sweep(), experiment))
    if chosen.experiment.run_dir:
        check_new_folder(Path(chosen.experiment.run_dir))
    return chosen.experiment, chosen.sweep, None


@dataclass(frozen=True)
class SweepSettings:
    """What tune_agent.py takes, all at the top level."""

    sweep: Annotated[Sweep, tyro.conf.arg(name="")]
    experiment: Annotated[Experiment, tyro.conf.arg(name="")]


def default_experiment(choices: dict[str, str]) -> Experiment:
    """By the names that were chosen, before the other overrides."""
    if "resume" in choices:
        require(
            "env" not in choices and "algo" not in choices,
            "--resume keeps the run's environment and algorithm; leave out --env and --algo.",
        )
        default = replace(
            load_experiment(Path(choices["resume"])), run_dir=str(Path(choices["resume"]))
        )
    else:
        with mistakes_are_the_users():
            environment = recipes.environment_named(choices.get("env", "SpaceInvaders"))
            default = recipes.recipe_named(choices.get("algo", "ppo"))(environment)
    with mistakes_are_the_users():
        plugs: dict[str, Any] = {
            name: BY_NAME[name](choices[name]) for name in BY_NAME if name in choices
        }
    return replace(default, **plugs)


def with_names(usage: str) -> str:
    """A command's usage, followed by the choices and the names that each of them takes."""
    names = {
        "algorithms": recipes.RECIPES,
        "encoders": recipes.ENCODERS,
        "memories": recipes.MEMORIES,
        "rewards": recipes.REWARDS,
    }
    told = CHOICES_USAGE.format(**{kind: ", ".join(table) for kind, table in names.items()})
    return f"{usage}\n{told}"


def parse(
    settings: type[Settings], arguments: list[str], usage: str, default: Settings | None = None
) -> Settings:
    """A dataclass from the command line; fields without a default are positional.

    Raises InvalidExperiment for what cannot be parsed, and for numbers out of their range."""
    # Argparse would end an option's values there: `--encoder.hidden-sizes --` would be none.
    require("--" not in arguments, "-- stands for no option. --help lists every setting.")
    require_once(arguments)
    given: Any = tyro.MISSING_NONPROP if default is None else default
    printed = io.StringIO()
    try:
        with redirect_stderr(printed), columns_for(arguments):
            parsed = tyro.cli(
                settings,
                args=arguments,
                description=usage,
                default=given,
                config=(PositionalRequiredArgs,),
            )
    except SystemExit as end:
        if not end.code:
            raise  # --help
        mistake = number_out_of_range(end)
        if mistake is not None:
            flags = {type(part): flag for flag, part in parts_of(given)}
            require_ranges(mistake.settings, flags.get(type(mistake.settings), "--"))
        raise InvalidExperiment(in_one_line(printed.getvalue())) from None
    for flag, part in parts_of(parsed):
        require_ranges(part, flag)
    return parsed


def number_out_of_range(end: BaseException | None) -> OutOfRange | None:
    """The error of a settings class for which tyro ended the process, if that was why."""
    while end is not None and not isinstance(end, OutOfRange):
        end = end.__context__
    return end


def parts_of(settings: Any, flag: str = "--") -> Iterator[tuple[str, Any]]:
    """A settings object and all that it holds, each with what the options of its fields begin
    with."""
    if not is_dataclass(settings):
        return
    yield flag, settings
    for field in fields(settings):
        nested = "" if isinstance(settings, SweepSettings) else f"{dashed(field.name)}."
        yield from parts_of(getattr(settings, field.name), flag + nested)


def require_ranges(settings: Any, flag: str) -> None:
    """Raises InvalidExperiment for a number out of its range, by the name of its option."""
    with mistakes_are_the_users():
        check_ranges(settings, flag)


def require_once(arguments: list[str]) -> None:
    """Raises InvalidExperiment for an option that is given twice, of which only the last would
    count."""
    seen = set()
    for argument in arguments:
        option = argument.partition("=")[0].replace("_", "-")
        if argument.startswith("--"):
            require(option not in seen, f"{option} is given twice; once is enough.")
            seen.add(option)


@contextmanager
def columns_for(arguments: list[str]) -> Iterator[None]:
    """Tells tyro how wide its help, or what it says of a mistake, is to be."""
    before = os.environ.get("COLUMNS")
    is_help = not {"-h", "--help"}.isdisjoint(arguments)
    help_columns = max(MIN_HELP_COLUMNS, shutil.get_terminal_size().columns)
    os.environ["COLUMNS"] = str(help_columns if is_help else MISTAKE_COLUMNS)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS", None)
        if before is not None:
            os.environ["COLUMNS"] = before


def in_one_line(box: str) -> str:
    """A mistake as tyro reports it, in a box of several lines drawn with whatever characters the
    terminal has: the mistake, and the options that come near."""
    lines = [line.strip("│| ") for line in box.splitlines() if not line.startswith(("╭", "╰", "+"))]
    parts = [part for part in re.split(r"[─-]{8,}", "\n".join(lines)) if part.strip()]
    # Without Unicode the box has no corners, and its title stands before the first line.
    mistake, *hints = parts[1:] if "─" not in box and len(parts) > 1 else parts
    mistake = MISSING.sub(r"\1 is missing: \2", " ".join(mistake.split()))
    mistake = NO_INTEGER.sub(r"\1 is no whole number; write it in digits, such as 1000000", mistake)
    near = [
        option
        for hint in hints
        if "Perhaps you meant" in hint
        for option in re.findall(r"--[\w.-]+", hint)
    ]
    nearest = difflib.get_close_matches(mistake, near, n=1, cutoff=0.0)
    advice = f"Did you mean {nearest[0]}?" if nearest else "--help lists every setting."
    return f"{' '.join(mistake.split()).rstrip('.')}. {advice}"


def parse_run(
    settings: type[Settings], arguments: list[str], usage: str
) -> tuple[Settings, Experiment]:
    """The settings of a command about a run, and the run's experiment with that environment which
    the command line may have changed. The settings have the run's folder as their first field,
    `env`, and the name of a `checkpoint`."""
    found = probable_run(arguments)
    given: Any = parse(settings, arguments, usage, defaults_for(settings, found))
    if given.run != found and (given.run / "experiment.json").is_file():
        given = parse(settings, arguments, usage, defaults_for(settings, given.run))
    experiment = replace(load_experiment(given.run), env=given.env)
    chosen_checkpoint(
        given.run, given.checkpoint
    )  # raises for a name that there is not, before torch is imported
    with mistakes_are_the_users(), opened(given.env):
        pass  # it can be built
    return given, experiment


def probable_run(arguments: list[str]) -> Path | None:
    """The run folder among the arguments; one that follows an option, whose value it may be, only
    if there is no other."""
    before = ["", *arguments]
    runs = [
        (previous.startswith("-"), Path(argument))
        for previous, argument in zip(before, arguments, strict=False)
        if (Path(argument) / "experiment.json").is_file()
    ]
    return min(runs, key=lambda run: run[0])[1] if runs else None


def defaults_for(settings: type[Settings], run: Path | None) -> Settings:
    """The settings of a command about a run, before the command line: the run's environment."""
    env = load_experiment(run).env if run else recipes.environment_named("SpaceInvaders")
    return settings(run=tyro.MISSING, env=env)  # pyright: ignore[reportCallIssue]


def load_experiment(run_dir: Path) -> Experiment:
    """The experiment of a run folder; raises InvalidExperiment where there is none."""
    path = run_dir / "experiment.json"
    require(path.is_file(), f"{run_dir} is not a run folder: it has no experiment.json.")
    try:
        described = read_json(path)
    except (OSError, ValueError) as damage:
        raise InvalidExperiment(f"{path} is damaged: {damage}") from damage
    require(
        isinstance(described, dict) and "experiment" in described, f"{path} is not one of ours."
    )
    return Experiment.from_json(described["experiment"], recipes.SAVED_CLASSES)


def take_choices(arguments: list[str], names: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Takes `--name value` and `--name=value` out of the arguments, for these names alone."""
    rest = []
    choices = {}
    waiting = iter(arguments)
    for argument in waiting:
        flag, equals, value = argument.partition("=")
        name = flag.removeprefix("--")
        if flag.startswith("--") and name in names:
            require(name not in choices, f"--{name} is given twice; once is enough.")
            value = value if equals else next(waiting, "")
            require(value != "" and not value.startswith("--"), f"--{name} needs a name after it.")
            choices[name] = value
        else:
            rest.append(argument)
    return rest, choices


def require_writable(path: Path) -> None:
    """Raises InvalidExperiment where a file could not be written, with the folders that are
    missing; makes nothing."""
    try:
        require(not path.is_dir(), f"{path} is a folder, not a file to write.")
        path.with_name(f".writing-{path.name}").is_file()  # raises where the name is too long
        nearest = next(folder for folder in path.absolute().parents if folder.exists())
    except OSError as refusal:
        raise InvalidExperiment(f"{path} cannot be written: {refusal.strerror}.") from refusal
    require(nearest.is_dir(), f"{path} cannot be written: {nearest} is a file, not a folder.")
    require(
        os.access(nearest, os.W_OK | os.X_OK), f"{path} cannot be written: {nearest} is read-only."
    )


@contextmanager
def mistakes_are_the_users() -> Iterator[None]:
    """While names are looked up, a ValueError is about what the user typed."""
    try:
        yield
    except ValueError as mistake:
        raise InvalidExperiment(str(mistake)) from mistake


def main_with_clear_errors(main: Callable[[list[str]], None]) -> None:
    """Runs a command. A user's mistake is one line and exit code 2; a run that the machine or its
    own numbers ended is one line and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)
    try:
        require_text(sys.argv[1:])
        main(sys.argv[1:])
    except InvalidExperiment as mistake:
        print(
            f"error: {' '.join(str(mistake).split())}", file=sys.stderr
        )  # spaces are printed over several lines
        raise SystemExit(2) from None
    except ModuleNotFoundError as missing:
        print(
            f"error: This needs the package {missing.name}, which is not installed; one of these "
            "extras brings it: "
            "pip install 'praxis-rl[robots,grids,vision,language,health]'.",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    except BrokenPipeError:
        # Who read along, such as `head`, has seen enough; Python would complain once more on its
        # way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (FloatingPointError, OSError) as end:
        print(f"error: {getattr(end, 'cause', end)}", file=sys.stderr)
        name_is_too_long = (
            isinstance(end, OSError) and end.errno == errno.ENAMETOOLONG
        )  # only a user gives such a name
        raise SystemExit(2 if name_is_too_long else 1) from None
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # another one would end in a traceback
        raise SystemExit(130) from None


def require_text(arguments: list[str]) -> None:
    """Raises InvalidExperiment for an argument that is not text in this locale's encoding, and so
    none for files of other encodings, such as reports and TensorBoard's events."""
    for argument in arguments:
        require(
            not SURROGATES.search(argument),
            f"{argument} is not text in this locale's encoding, {sys.getfilesystemencoding()}; "
            "with LC_ALL=C.UTF-8, "
            "all that is UTF-8 is.",
        )


def escaped(failure: UnicodeError) -> tuple[bytes, int]:
    """What is printed of characters that the output's encoding lacks: bytes that were no text when
    they were read as they were, the others as backslash escapes. An error handler of Python's
    codecs."""
    assert isinstance(failure, UnicodeEncodeError)
    characters = failure.object[failure.start : failure.end]
    return b"".join(map(bytes_of, characters)), failure.end


def bytes_of(character: str) -> bytes:
    """The byte itself for ASCII or a surrogate escape, else a backslash escape of the character."""
    try:
        return character.encode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return character.encode("ascii", "backslashreplace")


codecs.register_error(ESCAPED, escaped)
