"""A small run folder, ways to damage it, and what must happen to whoever goes on with it."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.checkpoint import ARRAYS, STATE, checkpoint_name, load_state, save_state
from agents.engine.config import build_network
from agents.experiment import Experiment
from envs.classic import ClassicConfig
from scripts.recipes import recipe_named

STEPS = (1_024, 2_048)
NEWEST = f"checkpoints/{checkpoint_name(STEPS[1])}"
OLDER = f"checkpoints/{checkpoint_name(STEPS[0])}"


@dataclass(frozen=True)
class Damage:
    """A change to a run folder, and its right consequence."""

    apply: Callable[[Path], Any]
    refused: str = ""
    """A regular expression of the one line that refuses the folder; empty where the run goes on."""
    goes_on_from: int = STEPS[1]
    """Env steps of the checkpoint that the run goes on from."""
    said: str = ""
    """A regular expression of a line that says what was left out."""


def small_run(folder: Path) -> Experiment:
    """Writes the folder of a run that was stopped after its second checkpoint, and returns its
    experiment."""
    base = recipe_named("ppo")(ClassicConfig("CartPole-v1"))
    experiment = replace(base, total_env_steps=100_000, run_dir=str(folder))
    network = build_network(experiment).get_state()
    for env_steps in STEPS:
        save_state(
            folder / "checkpoints" / checkpoint_name(env_steps),
            {
                "learner": {"learner": {"rl_module": {"default_policy": network}}},
                "env_steps": env_steps,
                "episodes": 9,
                "iteration": 1,
            },
        )
    (folder / "experiment.json").write_text(json.dumps({"experiment": experiment.to_json()}))
    lines = [json.dumps({"env_steps": env_steps}) for env_steps in (512, *STEPS)]
    (folder / "progress.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "best.json").write_text(
        json.dumps({"checkpoint": checkpoint_name(STEPS[0]), "mean": 20.0})
    )
    return experiment


def cut(name: str) -> Callable[[Path], Any]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:-7])


def flip(name: str) -> Callable[[Path], Any]:
    def apply(run: Path) -> None:
        content = bytearray((run / name).read_bytes())
        content[len(content) // 2] ^= 16
        (run / name).write_bytes(content)

    return apply


def remove(name: str) -> Callable[[Path], Any]:
    return lambda run: (run / name).unlink()


def write(name: str, content: str | bytes) -> Callable[[Path], Any]:
    return lambda run: (run / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def append(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes() + content)


def copy(name: str, other: str) -> Callable[[Path], Any]:
    return lambda run: shutil.copytree(run / name, run / other)


def link(name: str) -> Callable[[Path], Any]:
    """Moves a folder out of the run and leaves a link to it."""

    def apply(run: Path) -> None:
        elsewhere = run.with_name("elsewhere")
        shutil.move(run / name, elsewhere)
        (run / name).symlink_to(elsewhere)

    return apply


def replace_by_folder(name: str) -> Callable[[Path], Any]:
    def apply(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return apply


def replace_by_file(name: str) -> Callable[[Path], Any]:
    def apply(run: Path) -> None:
        shutil.rmtree(run / name)
        (run / name).touch()

    return apply


def say(**changes: Any) -> Callable[[Path], Any]:
    """Writes other values into the newest checkpoint, with the digest that belongs to them."""
    return lambda run: save_state(run / NEWEST, load_state(run / NEWEST) | changes)


def setting(name: str, value: Any) -> Callable[[Path], Any]:
    def apply(run: Path) -> None:
        described = json.loads((run / "experiment.json").read_text())
        described["experiment"][name] = value
        (run / "experiment.json").write_text(json.dumps(described))

    return apply


def both(first: Callable[[Path], Any], second: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda run: (first(run), second(run))


DEEP = "[" * 100_000
NO_STATE = f"{checkpoint_name(STEPS[1])} is left out: its state.json is missing"
UNREADABLE = "is not a readable checkpoint"

DAMAGES: dict[str, Damage] = {
    "nothing": Damage(lambda run: None),
    "arrays cut": Damage(cut(f"{NEWEST}/{ARRAYS}"), refused=UNREADABLE),
    "arrays with a flipped bit": Damage(flip(f"{NEWEST}/{ARRAYS}"), refused=UNREADABLE),
    "arrays missing": Damage(remove(f"{NEWEST}/{ARRAYS}"), refused=UNREADABLE),
    "state cut": Damage(cut(f"{NEWEST}/{STATE}"), refused=UNREADABLE),
    "state with a flipped bit": Damage(flip(f"{NEWEST}/{STATE}"), refused=UNREADABLE),
    "state nested deeply": Damage(write(f"{NEWEST}/{STATE}", DEEP), refused=UNREADABLE),
    "state missing": Damage(remove(f"{NEWEST}/{STATE}"), goes_on_from=STEPS[0], said=NO_STATE),
    "older state missing": Damage(remove(f"{OLDER}/{STATE}")),
    "every state missing": Damage(
        both(remove(f"{NEWEST}/{STATE}"), remove(f"{OLDER}/{STATE}")),
        refused="no complete checkpoint",
    ),
    "env steps below zero": Damage(say(env_steps=-5), refused="env_steps -5, which is no count"),
    "env steps as text": Damage(
        say(env_steps="2048"), refused="env_steps '2048', which is no count"
    ),
    "env steps true": Damage(say(env_steps=True), refused="env_steps True, which is no count"),
    "env steps null": Damage(say(env_steps=None), refused="env_steps None, which is no count"),
    "env steps beyond the name": Damage(
        say(env_steps=10**18), refused="which its name does not say"
    ),
    "iteration below zero": Damage(say(iteration=-1), refused="iteration -1, which is no count"),
    "episodes that are none": Damage(
        say(recent_episodes=[[["a", 1]]]), refused="recent episodes that are none"
    ),
    "no learner": Damage(say(learner={}), refused="holds no network"),
    "a checkpoint renamed": Damage(
        lambda run: (run / NEWEST).rename(run / "checkpoints" / checkpoint_name(9_999)),
        refused="which its name does not say",
    ),
    "a copy as step-best": Damage(copy(OLDER, "checkpoints/step-best")),
    "a copy as a backup": Damage(copy(OLDER, f"{NEWEST}-backup")),
    "a copy beside": Damage(copy(OLDER, f"{NEWEST} (copy)")),
    "a file named as a checkpoint": Damage(write(f"checkpoints/{checkpoint_name(9_999)}", "")),
    "notes among the checkpoints": Damage(write("checkpoints/notes.txt", "good ones")),
    "a checkpoint moved and linked to": Damage(link(NEWEST)),
    "a link that leads nowhere": Damage(
        lambda run: (run / "checkpoints" / checkpoint_name(9_999)).symlink_to("nowhere")
    ),
    "a file that was being written": Damage(write("checkpoints/.writing-x", "half")),
    "a link that was being written": Damage(
        lambda run: (run / "checkpoints/.writing-x").symlink_to(run)
    ),
    "checkpoints a file": Damage(
        replace_by_file("checkpoints"), refused="checkpoints is in the way"
    ),
    "checkpoints gone": Damage(
        lambda run: shutil.rmtree(run / "checkpoints"), refused="no checkpoint to go on from"
    ),
    "progress gone": Damage(remove("progress.jsonl")),
    "progress a folder": Damage(
        replace_by_folder("progress.jsonl"), refused="progress.jsonl is in the way"
    ),
    "progress with a byte of no text": Damage(append("progress.jsonl", b"\xff\n")),
    "progress with a step as text": Damage(append("progress.jsonl", b'{"env_steps": "5"}\n')),
    "progress with a null step": Damage(append("progress.jsonl", b'{"env_steps": null}\n')),
    "progress with a huge step": Damage(
        append("progress.jsonl", b'{"env_steps": 1' + b"0" * 300 + b"}\n")
    ),
    "progress with a step that is no number": Damage(
        append("progress.jsonl", b'{"env_steps": NaN}\n')
    ),
    "progress with a step of many digits": Damage(
        append("progress.jsonl", b'{"env_steps": ' + b"9" * 9_999 + b"}\n")
    ),
    "progress nested deeply": Damage(append("progress.jsonl", DEEP.encode() + b"\n")),
    "best.json junk": Damage(write("best.json", b"\xff"), refused="best.json is damaged"),
    "best.json nested deeply": Damage(write("best.json", DEEP), refused="best.json is damaged"),
    "best.json without a number": Damage(
        write("best.json", '{"checkpoint": "x", "mean": NaN}'), refused="best.json is damaged"
    ),
    "best.json of null": Damage(
        write("best.json", '{"checkpoint": null, "mean": 1}'), refused="best.json is damaged"
    ),
    "best.json a folder": Damage(replace_by_folder("best.json"), refused="best.json is in the way"),
    "experiment.json junk": Damage(
        write("experiment.json", b"\xff"), refused="experiment.json is damaged"
    ),
    "experiment.json nested deeply": Damage(
        write("experiment.json", DEEP), refused="experiment.json is damaged"
    ),
    "experiment.json a folder": Damage(
        replace_by_folder("experiment.json"), refused="not a run folder"
    ),
    "experiment.json gone": Damage(remove("experiment.json"), refused="not a run folder"),
    "a setting that is true": Damage(
        setting("num_envs", True),
        refused="num_envs must be a whole number from 1 to 1,048,576, not True",
    ),
    "a setting below one": Damage(
        setting("num_envs", 0), refused="num_envs must be a whole number from 1 to 1,048,576, not 0"
    ),
    "a seed below zero": Damage(
        setting("seed", -1), refused="seed must be a whole number from 0 to 4,294,967,295, not -1"
    ),
    "an owner that is gone": Damage(
        write("owner.json", '{"host": "here", "pid": 1, "since": "long ago"}')
    ),
    "an owner that is none": Damage(write("owner.json", DEEP)),
    "an experiment that was being written": Damage(write(".writing-experiment.json", "{")),
}


def content_of(folder: Path) -> dict[str, bytes | str]:
    """Every file and link below a folder, to see that nothing was changed."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
