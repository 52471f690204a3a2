"""Checkpoints: safetensors for arrays, JSON for the rest, written beside and renamed.

Nothing in a checkpoint is code: reading one that a stranger made can fail, but cannot run anything.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from agents.experiment import InvalidExperiment, require
from common.files import TEMPORARY, read_json, sync_folder, write_durably
from common.renamed import renamed

FORMAT = "praxis-checkpoint-1"
ARRAYS = "arrays.safetensors"
STATE = "state.json"
NAME = re.compile(r"step-(\d{12,18})")


class Damaged(ValueError):
    """What was saved cannot be read as it was saved, told in one line."""


UNREADABLE = (
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    StopIteration,
    RecursionError,
    SafetensorError,
)
"""What reading a damaged or foreign file can raise."""


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Nested dicts and lists of numbers, strings, arrays and tensors into `folder`."""
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(split_arrays(state, "", arrays))
    folder.mkdir(parents=True, exist_ok=True)
    blob = save(arrays)
    content = {"format": FORMAT, "sha256": digest(blob, tree), "state": tree}
    write_durably(folder / ARRAYS, blob)
    write_durably(folder / STATE, json.dumps(content).encode())


def load_state(folder: Path) -> dict[str, Any]:
    """Returns what `save_state` wrote. Raises Damaged if it is foreign or not as it was saved."""
    try:
        content = read_json(folder / STATE)
        blob = (folder / ARRAYS).read_bytes()
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
        if digest(blob, content["state"]) != content["sha256"]:
            raise ValueError("what it holds is not what was saved")
        return join_arrays(json.loads(content["state"]), load(blob))
    except UNREADABLE as damage:
        raise Damaged(
            f"{folder} is not a readable checkpoint: {damage}. Without this folder a run goes on "
            "from the one before."
        ) from damage


def digest(arrays: bytes, tree: str) -> str:
    """The SHA-256 of a checkpoint's arrays and state together, in hexadecimal digits."""
    return sha256(arrays + tree.encode())


def sha256(content: bytes) -> str:
    """The SHA-256 of these bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_checkpoint(checkpoints: Path, name: str, save_into: Callable[[str], None]) -> Path:
    """Calls `save_into(folder)` and gives its folder the name only when it is complete.

    A kill or a full disk at any moment leaves the older ones."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    remove_leftovers(checkpoints)
    beside = checkpoints / f"{TEMPORARY}{name}"
    final = checkpoints / name
    try:
        save_into(str(beside))
        # `os.replace` cannot put a folder in the place of one that holds something.
        remove(final)
        os.replace(beside, final)
    except BaseException:
        with suppress(OSError):  # what ended the save may forbid this as well
            remove(beside)
        raise
    sync_folder(checkpoints)
    return final


def remove_leftovers(checkpoints: Path) -> None:
    """Removes checkpoints that a kill left incomplete."""
    for leftover in checkpoints.glob(f"{TEMPORARY}*"):
        remove(leftover)


def remove_old_checkpoints(checkpoints: Path, keep: int, spared: Collection[str | None]) -> None:
    """Removes all but the newest `keep` and those that are spared, by name."""
    for old in finished_checkpoints(checkpoints)[keep:]:
        if old.name not in spared:
            # Renamed first, so that a kill leaves none that is half removed.
            doomed = old.with_name(f"{TEMPORARY}{old.name}")
            os.replace(old, doomed)
            remove(doomed)


def remove(path: Path) -> None:
    """Removes a folder, a file, or a link, but not what the link leads to; nothing where there is
    nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def finished_checkpoints(checkpoints: Path) -> list[Path]:
    """Complete checkpoints, the newest first. Copies under other names, such as
    step-000000001000-backup, are none."""
    return [path for path in named_checkpoints(checkpoints) if (path / STATE).is_file()]


def incomplete_checkpoints(checkpoints: Path) -> list[Path]:
    """Folders named as checkpoints that cannot be read as such because their state.json is
    missing."""
    return [path for path in named_checkpoints(checkpoints) if not (path / STATE).is_file()]


def named_checkpoints(checkpoints: Path) -> list[Path]:
    """Folders, or links to folders, that are named as checkpoints, the newest first."""
    folders = [
        path for path in checkpoints.glob("step-*") if NAME.fullmatch(path.name) and path.is_dir()
    ]
    return sorted(folders, key=lambda path: env_steps_of(path.name), reverse=True)


def chosen_checkpoint(run_dir: Path, name: str) -> Path:
    """A run's checkpoint by name, or its `latest`, or its `best` by evaluation.

    Raises InvalidExperiment where it is not there."""
    wanted = best_checkpoint(run_dir) if name == "best" else name
    finished = finished_checkpoints(run_dir / "checkpoints")
    require(run_dir.is_dir(), f"{run_dir} is no run folder: there is no such folder.")
    require(bool(finished), f"{run_dir} has no checkpoint yet.")
    if wanted == "latest":
        return finished[0]
    names = [path.name for path in finished]
    if wanted not in names and name == "best" and best_checkpoint(run_dir) != wanted:
        return chosen_checkpoint(
            run_dir, name
        )  # another one became the best, and this one was removed
    require(
        wanted in names,
        f"{run_dir} has no checkpoint {wanted}; it has latest, best, {', '.join(names)}.",
    )
    return run_dir / "checkpoints" / wanted


def best_checkpoint(run_dir: Path) -> str:
    """The name of a run's best checkpoint. Raises InvalidExperiment before the first evaluation."""
    name = read_best(run_dir)["checkpoint"]
    require(bool(name), f"{run_dir} has had no evaluation yet; take --checkpoint latest.")
    return name


def read_best(run_dir: Path) -> dict[str, Any]:
    """Which checkpoint was best, and its mean return; None and minus infinity before the first
    evaluation.

    Raises InvalidExperiment where best.json is damaged."""
    path = run_dir / "best.json"
    if not path.exists():
        return {"checkpoint": None, "mean": float("-inf")}
    try:
        best = read_json(path)
        checkpoint = best["checkpoint"]
        mean = best["mean"]
        if not isinstance(checkpoint, str) or not math.isfinite(mean):
            raise ValueError("it names no checkpoint, or no mean")
        return {"checkpoint": checkpoint, "mean": float(mean)}
    except (OSError, LookupError, TypeError, ValueError) as damage:
        raise InvalidExperiment(
            f"{path} is damaged; without it the best checkpoint is found anew."
        ) from damage


def checkpoint_name(env_steps: int) -> str:
    """The name of a checkpoint after so many env steps, such as step-000000001000."""
    return f"step-{env_steps:012d}"


def env_steps_of(name: str) -> int:
    """The env steps in a checkpoint's name."""
    return int(name.removeprefix("step-"))


def split_arrays(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The tree with every array replaced by its key in `arrays`."""
    if isinstance(value, dict):
        pairs = [[encode_key(k), split_arrays(v, f"{path}/{k}", arrays)] for k, v in value.items()]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        return {"list": [split_arrays(v, f"{path}/{i}", arrays) for i, v in enumerate(value)]}
    if hasattr(value, "detach"):  # a tensor; torch itself takes seconds to import
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        # Numbered, because two paths can be spelt alike: the keys 1 and "1" are different ones.
        key = f"{len(arrays)}:{path}"
        # The shape is given back, because `ascontiguousarray` makes (1,) of ().
        arrays[key] = np.ascontiguousarray(value).reshape(value.shape)
        return {"array": key}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise TypeError(f"{path} is a {type(value).__name__}, which a checkpoint cannot hold.")


def join_arrays(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Returns the state that `split_arrays` took apart; its tuples come back as lists."""
    kind, content = next(iter(tree.items()))
    if kind == "dict":
        return {renamed(k) if isinstance(k, str) else k: join_arrays(v, arrays) for k, v in content}
    if kind == "list":
        return [join_arrays(v, arrays) for v in content]
    return arrays[content] if kind == "array" else content


def encode_key(key: Any) -> str | int:
    """Returns a dict's key as it is. Raises TypeError unless it is a string or an integer."""
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise TypeError(f"{key!r} cannot be a key in a checkpoint.")
    return key


def is_count(value: Any) -> bool:
    """Whether it is a whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
