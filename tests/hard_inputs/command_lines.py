"""Wrong command lines, drawn at random: each says why it is wrong, and whether it must be
refused."""

import contextlib
import importlib
import random
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from unittest import mock

from tests.hard_inputs.damages import FILE_DAMAGES

Verdict = Literal["refuse", "either"]
"""`either`: the value is possible though unwise, such as a very large number, so it may also be
accepted."""


@dataclass(frozen=True)
class Case:
    """One wrong command line, run in a folder that holds the files of `materials.py`."""

    script: str
    """A module of scripts/, without `.py`."""
    arguments: tuple[str, ...]
    kind: str
    verdict: Verdict = "refuse"
    damage: tuple[str, str, int] | None = None
    """A file or folder that is first copied to `damaged`, the name of the damage done there, and
    its seed."""

    def __str__(self) -> str:
        damage = (
            f" [{self.damage[1]} {self.damage[0]}, seed {self.damage[2]}]" if self.damage else ""
        )
        shown = (
            argument if len(argument) < 80 else f"{argument[:40]}...({len(argument)})"
            for argument in self.arguments
        )
        return f"{self.kind}: {self.script} {' '.join(shown)}{damage}"


@dataclass(frozen=True)
class Option:
    """An option of a command: its flag, its type and its default."""

    flag: str
    type: Any
    default: Any


BASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("train_agent", ("--env", "SpaceInvaders")),
    ("train_agent", ("--env", "Pong", "--algo", "dqn")),
    ("train_agent", ("--env", "Breakout", "--algo", "rainbow", "--encoder", "impala")),
    ("train_agent", ("--env", "Pong", "--encoder", "filtered")),
    ("train_agent", ("--env", "CartPole-v1")),
    ("train_agent", ("--env", "CartPole-v1", "--algo", "qr-dqn")),
    ("train_agent", ("--env", "Pendulum-v1", "--algo", "td3")),
    ("train_agent", ("--env", "Pendulum-v1", "--algo", "appo")),
    ("train_agent", ("--env", "HalfCheetah", "--algo", "ddpg")),
    ("train_agent", ("--env", "PandaReach", "--algo", "ddpg")),
    ("train_agent", ("--env", "Navigate", "--algo", "td3")),
    ("train_agent", ("--env", "KukaGrasp")),
    ("train_agent", ("--env", "MultiRoom-N4-S5", "--reward", "rnd")),
    ("train_agent", ("--env", "MemoryS11", "--memory", "lstm", "--memory.steps", "128")),
    ("train_agent", ("--env", "LanguageGoToLocal", "--encoder", "instructed-sentences")),
    (
        "train_agent",
        (
            "--env",
            "GoToRedBallGrey",
            "--reward",
            "gail",
            "--reward.demonstrations",
            "demonstrations.safetensors",
        ),
    ),
    (
        "train_agent",
        (
            "--env",
            "GoToRedBallGrey",
            "--algo",
            "bc",
            "--algo.demonstrations",
            "demonstrations.safetensors",
        ),
    ),
    (
        "train_agent",
        ("--env", "care-episode", "--algo", "iql", "--algo.demonstrations", "log.parquet"),
    ),
    (
        "train_agent",
        ("--env", "care-episode", "--algo", "cql", "--algo.demonstrations", "log.parquet"),
    ),
    ("train_agent", ("--env", "hiv-sti", "--memory", "gru")),
    (
        "train_agent",
        (
            "--env",
            "sepsis-icu",
        ),
    ),
    ("train_agent", ("--env", "glucose-t1d", "--encoder", "record")),
    (
        "train_agent",
        (
            "--env",
            "warfarin-pgx",
        ),
    ),
    (
        "train_agent",
        (
            "--env",
            "tumor-imaging",
        ),
    ),
    (
        "train_agent",
        (
            "--env",
            "epidemic-npi",
        ),
    ),
    ("train_agent", ("--resume", "run")),
    ("tune_agent", ("--env", "CartPole-v1")),
    ("evaluate_agent", ("run", "--episodes", "1")),
    ("record_agent", ("run", "--max-steps", "5")),
    ("log_episodes", ("--env", "care-episode", "--episodes", "4")),
    ("estimate_policy", ("standard of care", "--episodes-file", "log.parquet")),
    ("report_policy", ("run-care", "--patients", "4")),
    ("make_demonstrations", ("--episodes", "2")),
    ("make_frames", ("--train-episodes", "1", "--test-episodes", "1")),
    ("make_captions", ()),
    ("make_corpus", ()),
    ("train_module", ("digits",)),
    ("train_module", ("unet",)),
    ("train_module", ("yolo",)),
    ("evaluate_module", ("module",)),
    ("translate", ("module",)),
)
"""Command lines that are right as they stand: the beginnings of wrong ones."""

CONTRADICTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("train_agent", ("--env", "Pendulum-v1", "--algo", "dqn")),
    ("train_agent", ("--env", "CartPole-v1", "--algo", "td3")),
    ("train_agent", ("--env", "CartPole-v1", "--algo", "ddpg")),
    ("train_agent", ("--env", "SpaceInvaders", "--algo", "dqn", "--memory", "lstm")),
    ("train_agent", ("--env", "CartPole-v1", "--encoder", "nature")),
    ("train_agent", ("--env", "SpaceInvaders", "--encoder", "mlp")),
    ("train_agent", ("--env", "SpaceInvaders", "--encoder", "instructed")),
    ("train_agent", ("--env", "CartPole-v1", "--encoder", "parts")),
    ("train_agent", ("--env", "CartPole-v1", "--algo.minibatch-size", "100")),
    ("train_agent", ("--num-envs", "10", "--num-env-runners", "3")),
    ("train_agent", ("--env", "MemoryS11", "--memory", "lstm", "--memory.steps", "7")),
    ("train_agent", ("--env", "SpaceInvaders", "--algo", "dqn", "--total-env-steps", "1000")),
    ("train_agent", ("--env", "CartPole-v1", "--algo", "dqn", "--algo.replay-capacity", "8")),
    ("train_agent", ("--env", "CartPole-v1", "--algo", "dqn", "--algo.hindsight", "future")),
    ("train_agent", ("--env", "PandaReach", "--algo", "ddpg", "--algo.n-step", "3")),
    ("train_agent", ("--env", "CartPole-v1", "--reward", "gail")),
    ("train_agent", ("--env", "CartPole-v1", "--algo", "bc")),
    (
        "train_agent",
        ("--env", "CartPole-v1", "--algo", "iql", "--algo.demonstrations", "log.parquet"),
    ),
    ("train_agent", ("--env", "hiv-sti", "--algo", "bc", "--algo.demonstrations", "log.parquet")),
    (
        "train_agent",
        (
            "--env",
            "CartPole-v1",
            "--algo",
            "bc",
            "--algo.demonstrations",
            "demonstrations.safetensors",
        ),
    ),
    ("train_agent", ("--env", "CartPole-v1", "--begin-from", "run-care")),
    ("train_agent", ("--env", "CartPole-v1", "--begin-from", "module")),
    ("train_agent", ("--env", "CartPole-v1", "--run-dir", "run")),
    ("train_agent", ("--resume", "run", "--run-dir", "elsewhere")),
    ("train_agent", ("--resume", "run", "--env", "Pong")),
    ("train_agent", ("--resume", "run", "--algo", "dqn")),
    (
        "train_agent",
        ("--resume", "run", "--encoder.hidden-sizes", "32", "32", "--total-env-steps", "9000"),
    ),
    ("train_agent", ("--resume", "module")),
    ("train_agent", ("--resume", "folder")),
    ("train_agent", ("--env", "SpaceInvaders", "--encoder", "unet")),
    ("train_agent", ("--env", "SpaceInvaders", "--encoder", "unet", "--encoder.weights", "module")),
    (
        "train_agent",
        ("--env", "SpaceInvaders", "--encoder", "unet", "--encoder.weights", "nowhere"),
    ),
    ("tune_agent", ("--resume", "run")),
    ("tune_agent", ("--resume", "run", "--env", "Pong")),
    ("evaluate_agent", ("run", "--env.held-out")),
    ("evaluate_agent", ("run", "--checkpoint", "step-7")),
    ("evaluate_agent", ("run", "--checkpoint", "../run")),
    ("evaluate_agent", ("module",)),
    ("evaluate_agent", ("run", "run-care")),
    ("evaluate_agent", ()),
    ("record_agent", ("folder",)),
    ("record_agent", ()),
    ("report_policy", ("run",)),
    ("report_policy", ("run-care", "--also", "run")),
    ("report_policy", ("run-care", "--log", "demonstrations.safetensors")),
    ("estimate_policy", ("no such baseline", "--episodes-file", "log.parquet")),
    ("estimate_policy", ("run", "--episodes-file", "log.parquet")),
    ("estimate_policy", ("standard of care",)),
    ("estimate_policy", ("standard of care", "--episodes-file", "frames.npz")),
    ("log_episodes", ("--env", "CartPole-v1")),
    ("log_episodes", ("--env", "care-episode", "--policy", "no such baseline")),
    ("log_episodes", ("--env", "care-episode", "--epsilon", "1.5")),
    ("make_demonstrations", ("--env", "CartPole-v1")),
    ("make_frames", ("--games", "CartPole-v1")),
    ("train_module", ("no-such-module",)),
    ("train_module", ()),
    ("train_module", ("unet", "--task.data", "demonstrations.safetensors")),
    ("evaluate_module", ("run",)),
    ("evaluate_module", ()),
    ("translate", ("run", "--text", "hello")),
    ("translate", ("module", "--text", "hello")),
)
"""Right words that do not go together."""

NEGATIVE_IS_A_VALUE = frozenset({"--env.max-episode-steps"})
"""Whole numbers for which -1 means something."""

DAMAGED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("run", "train_agent", ("--resume", "damaged", "--total-env-steps", "2000")),
    ("run", "evaluate_agent", ("damaged", "--episodes", "1")),
    ("run", "record_agent", ("damaged", "--max-steps", "5")),
    ("run-dqn", "train_agent", ("--resume", "damaged", "--total-env-steps", "4000")),
    ("run-care", "report_policy", ("damaged", "--patients", "4")),
    ("log.parquet", "estimate_policy", ("standard of care", "--episodes-file", "damaged")),
    (
        "log.parquet",
        "train_agent",
        ("--env", "care-episode", "--algo", "iql", "--algo.demonstrations", "damaged"),
    ),
    (
        "demonstrations.safetensors",
        "train_agent",
        ("--env", "GoToRedBallGrey", "--algo", "bc", "--algo.demonstrations", "damaged"),
    ),
    (
        "demonstrations.safetensors",
        "train_agent",
        ("--env", "GoToRedBallGrey", "--reward", "gail", "--reward.demonstrations", "damaged"),
    ),
    ("frames.npz", "train_module", ("unet", "--task.data", "damaged", "--run-dir", "new")),
    ("module", "evaluate_module", ("damaged",)),
    ("module", "translate", ("damaged", "--text", "hello")),
    ("sweep", "tune_agent", ("--resume", "damaged")),
)
"""A material, and a command that reads its damaged copy."""

NOT_NUMBERS = ("abc", "", "1,5", "--", "0x", "one", "1e", "½")
HUGE = ("1000000000", "10000000000", "9223372036854775808", "1" + "0" * 30)
NAMES = {
    "--env": (
        "SpaceInvader",
        "cartpole",
        "Pendulum-v7",
        "antigravity:x",
        "../../etc",
        "",
        "😀",
        "health/x-v0",
        "None",
    ),
    "--algo": ("PPO2", "pppo", "", "a3c", "ppo,dqn", "../ppo"),
    "--encoder": ("natur", "resnet", "", "mlp2", "None"),
    "--memory": ("lstm2", "", "transformer", "none,lstm"),
    "--reward": ("rdn", "", "gail2", "-"),
}
PATHS = (
    "nowhere",
    "junk.txt",
    "empty",
    "folder",
    "x" * 300,
    "junk.txt/run",
    "/proc/nowhere/run",
    ".",
)


def options_of(script: str, arguments: tuple[str, ...]) -> list[Option]:
    """The options of a command line, as the command itself hands them to tyro."""
    main = importlib.import_module(f"scripts.{script}").main
    with mock.patch("tyro.cli", side_effect=_Asked) as asked, contextlib.suppress(_Asked):
        main(list(arguments))
    if not asked.call_args:
        raise ValueError(f"{script} {' '.join(arguments)} does not come as far as its options.")
    [settings] = asked.call_args.args
    default = asked.call_args.kwargs.get("default")
    return list(_options(settings, default, "--"))


class _Asked(BaseException):
    def __init__(self, *_: Any, **__: Any) -> None: ...


def _options(settings: type, default: Any, prefix: str) -> Iterator[Option]:
    hints = get_type_hints(settings)
    for field in fields(settings):
        value = getattr(default, field.name, None)
        if is_dataclass(value) and not isinstance(value, type):
            flat = "name=''" in repr(field.type) or field.name in ("sweep", "experiment")
            yield from _options(
                type(value), value, prefix if flat else f"{prefix}{field.name.replace('_', '-')}."
            )
        else:
            yield Option(f"{prefix}{field.name.replace('_', '-')}", hints[field.name], value)


def is_of(option: Option, kind: type) -> bool:
    """Whether an option's values are of a type, or of that type or None, or tuples of it."""
    hint = option.type
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return kind in get_args(hint)
    return hint is kind


def is_literal(option: Option) -> bool:
    return get_origin(option.type) is Literal


Make = Callable[[random.Random], Case | None]


def misspelt_option(draw: random.Random) -> Case | None:
    script, base = draw.choice(BASES)
    flag = draw.choice(options_of(script, base)).flag
    place = draw.randrange(3, len(flag))
    wrong = flag[:place] + draw.choice("qxzj") + flag[place + draw.randint(0, 1) :]
    return Case(script, (*base, wrong, "1"), "misspelt option")


def wrong_type(draw: random.Random) -> Case | None:
    script, base = draw.choice(BASES)
    candidates = [
        o for o in options_of(script, base) if is_of(o, int) or is_of(o, float) or is_literal(o)
    ]
    if not candidates:
        return None
    option = draw.choice(candidates)
    value = "nonsense" if is_literal(option) else draw.choice(NOT_NUMBERS)
    return Case(script, (*base, option.flag, value), "wrong type")


def fraction_for_a_count(draw: random.Random) -> Case | None:
    return _number(draw, int, ("0.5", "1e3", "nan", "inf", "-0.1"), "fraction for a count")


def not_finite(draw: random.Random) -> Case | None:
    return _number(draw, float, ("nan", "inf", "-inf", "1e999"), "not finite")


def negative_count(draw: random.Random) -> Case | None:
    return _number(
        draw, int, ("-1", "-7", "-9223372036854775809"), "negative count", NEGATIVE_IS_A_VALUE
    )


def huge_count(draw: random.Random) -> Case | None:
    case = _number(draw, int, HUGE, "huge count")
    return case and Case(case.script, case.arguments, case.kind, "either")


def _number(
    draw: random.Random,
    kind: type,
    values: tuple[str, ...],
    name: str,
    but: frozenset[str] = frozenset(),
) -> Case | None:
    script, base = draw.choice(BASES)
    candidates = [o for o in options_of(script, base) if is_of(o, kind) and o.flag not in but]
    if not candidates:
        return None
    return Case(script, (*base, draw.choice(candidates).flag, draw.choice(values)), name)


def wrong_name(draw: random.Random) -> Case | None:
    choice = draw.choice(sorted(NAMES))
    script = draw.choice(["train_agent", "tune_agent"])
    before = () if choice == "--env" else ("--env", "CartPole-v1")
    return Case(script, (*before, choice, draw.choice(NAMES[choice])), "wrong name")


def value_missing(draw: random.Random) -> Case | None:
    script, base = draw.choice(BASES)
    candidates = [
        o
        for o in options_of(script, base)
        if not is_of(o, bool) and get_origin(o.type) is not tuple
    ]
    return (
        Case(script, (*base, draw.choice(candidates).flag), "value missing") if candidates else None
    )


def stray_word(draw: random.Random) -> Case | None:
    script, base = draw.choice(BASES)
    return Case(script, (*base, draw.choice(["junk", "-x", "--=1", "-"])), "stray word")


def contradiction(draw: random.Random) -> Case | None:
    script, arguments = draw.choice(CONTRADICTIONS)
    return Case(script, arguments, "contradiction")


def wrong_path(draw: random.Random) -> Case | None:
    reads = (
        ("train_agent", ("--resume", "{}")),
        ("train_agent", ("--env", "CartPole-v1", "--begin-from", "{}")),
        ("train_agent", ("--env", "CartPole-v1", "--algo", "bc", "--algo.demonstrations", "{}")),
        ("train_agent", ("--env", "care-episode", "--algo", "iql", "--algo.demonstrations", "{}")),
        (
            "train_agent",
            ("--env", "GoToRedBallGrey", "--reward", "gail", "--reward.demonstrations", "{}"),
        ),
        ("train_agent", ("--env", "SpaceInvaders", "--encoder", "unet", "--encoder.weights", "{}")),
        ("tune_agent", ("--resume", "{}")),
        ("evaluate_agent", ("{}",)),
        ("record_agent", ("{}",)),
        ("report_policy", ("{}",)),
        ("report_policy", ("run-care", "--log", "{}")),
        ("estimate_policy", ("standard of care", "--episodes-file", "{}")),
        ("estimate_policy", ("{}", "--episodes-file", "log.parquet")),
        ("log_episodes", ("--run", "{}")),
        ("train_module", ("unet", "--task.data", "{}")),
        ("evaluate_module", ("{}",)),
        ("evaluate_module", ("module", "--data", "{}")),
        ("translate", ("{}", "--text", "hello")),
        ("translate", ("module", "--file", "{}")),
    )
    script, arguments = draw.choice(reads)
    path = draw.choice(PATHS)
    return Case(
        script, tuple(argument.format(path) for argument in arguments), "wrong path to read"
    )


def no_place_to_write(draw: random.Random) -> Case | None:
    writes = (
        ("train_agent", ("--env", "CartPole-v1", "--run-dir", "{}")),
        ("tune_agent", ("--env", "CartPole-v1", "--run-dir", "{}")),
        ("train_module", ("digits", "--run-dir", "{}")),
        ("log_episodes", ("--env", "care-episode", "--episodes", "4", "--output", "{}")),
        ("make_demonstrations", ("--episodes", "2", "--output", "{}")),
        ("make_frames", ("--train-episodes", "1", "--test-episodes", "1", "--output", "{}")),
        ("make_captions", ("--output", "{}")),
        ("make_corpus", ("--output", "{}")),
        (
            "estimate_policy",
            ("standard of care", "--episodes-file", "log.parquet", "--output", "{}"),
        ),
    )
    script, arguments = draw.choice(writes)
    path = draw.choice(("junk.txt/inside", "x" * 300))
    return Case(script, tuple(argument.format(path) for argument in arguments), "no place to write")


def damaged_file(draw: random.Random) -> Case | None:
    material, script, arguments = draw.choice(DAMAGED)
    damage = draw.choice(sorted(FILE_DAMAGES))
    return Case(
        script, arguments, "damaged file", "either", (material, damage, draw.randrange(2**31))
    )


KINDS: dict[Make, float] = {
    misspelt_option: 8,
    wrong_type: 12,
    fraction_for_a_count: 6,
    not_finite: 10,
    negative_count: 12,
    huge_count: 10,
    wrong_name: 5,
    value_missing: 5,
    stray_word: 3,
    contradiction: 6,
    wrong_path: 10,
    no_place_to_write: 4,
    damaged_file: 15,
}
"""How often each kind is drawn, beside the others."""


def cases(count: int, seed: int) -> list[Case]:
    """So many different wrong command lines; fewer of the kinds that have few."""
    draw = random.Random(seed)
    drawn: dict[Case, None] = {}
    for _ in range(20 * count):
        if len(drawn) == count:
            break
        [make] = draw.choices(list(KINDS), list(KINDS.values()))
        case = make(draw)
        if case is not None:
            drawn[case] = None
    return list(drawn)
