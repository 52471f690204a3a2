"""A replay in a checkpoint: its columns whole, its frames in files that later saves link to."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from agents.checkpoint import UNREADABLE, is_count, link_or_copy, load_state, save_state, sha256
from agents.replay.buffer import Replay
from common.files import write_durably

COLUMNS = (
    "actions",
    "rewards",
    "terminated",
    "cut",
    "final",
    "begun",
    "last",
    "age",
    "whole",
    "drawable",
)
COUNTERS = ("added", "max_priority")
OPTIONS = {
    "num_envs": "--num-envs",
    "steps": "steps of each environment (--algo.replay-capacity)",
    "n_step": "--algo.n-step",
    "memory_size": "a --memory that keeps so many numbers:",
    "prioritized": "--algo.priority-exponent above 0:",
}
"""What parts of a replay's kind are chosen by."""
SEGMENT = re.compile(r"frames-(\d{12,18})-(\d{12,18})\.safetensors")


def save_replay(
    replay: Replay, folder: Path, previous: Path | None, limit_bytes: float = float("inf")
) -> None:
    """Writes everything into a new `folder`; frames that lie in the `previous` one already are
    linked to.

    Frames lie in files of about 64 MB that never change, so each save writes only what is new.
    Beyond `limit_bytes` of frames the oldest steps are left out.
    """
    folder.mkdir(parents=True)
    kept = max(1, int(min(limit_bytes / replay.step_bytes(), replay.added)))
    oldest = max(replay.oldest, replay.added - kept)
    known = {} if previous is None else known_frames(previous)
    digests: dict[str, str] = {}
    for start in range(
        oldest // replay.segment_steps * replay.segment_steps, replay.added, replay.segment_steps
    ):
        stop = min(start + replay.segment_steps, replay.added)
        # One that was complete when it was saved has steps that have been overwritten here
        # since.
        name = segment_name(start, stop)
        if (
            previous is not None
            and name in known
            and linked(replay, previous / name, folder / name)
        ):
            digests[name] = known[name]
        else:
            name = segment_name(max(start, oldest), stop)
            blob = save({"frames": replay.frames[replay.span(max(start, oldest), stop)]})
            write_durably(folder / name, blob)
            digests[name] = sha256(blob)
    state = {name: getattr(replay, name) for name in (*COLUMNS, *COUNTERS)} | {
        "oldest": oldest,
        "frames": digests,
    }
    state["finals"] = {
        "rows": np.array(list(replay.finals), np.int64),
        "frames": np.array(list(replay.finals.values()), replay.frames.dtype),
    }
    if replay.memories.size:
        state["memories"] = replay.memories
    state["kind"] = replay.kind
    state["priorities"] = None if replay.priorities is None else replay.priorities.leaves
    save_state(folder, state)


def linked(replay: Replay, source: Path, target: Path) -> bool:
    """Links to a file of the save before, if that is there and whole; else the frames are
    written from memory."""
    if source in replay.damaged:
        return False
    try:
        link_or_copy(source, target)
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def load_replay(replay: Replay, folder: Path) -> list[str]:
    """Takes over what `save_replay` wrote of a replay of the same kind; says, a line each, which
    frames are lost.

    Steps whose frames are lost are never drawn, nor are those whose stacks or whose following
    observations reach into them. Raises Damaged where the replay's state cannot be read,
    ValueError where it is of another kind; the replay is then as it was."""
    state = load_state(folder)
    if flaw := flaw_of(replay, state):
        raise ValueError(f"The replay in {folder} has {flaw}.")
    for name in (*COLUMNS, *COUNTERS, "oldest"):
        setattr(replay, name, state[name])
    if replay.memories.size:
        replay.memories = state["memories"]
    replay.finals = dict(
        zip(state["finals"]["rows"].tolist(), state["finals"]["frames"].copy(), strict=True)
    )
    lost: list[str] = []
    found = np.zeros(replay.length, np.bool_)
    for name, digest in state["frames"].items():
        start, stop = segment_range(name)
        kept = max(start, replay.oldest)
        try:
            frames = read_segment(replay, folder / name, digest)
        except UNREADABLE as damage:
            replay.damaged.add(folder / name)
            steps = (stop - kept) * replay.num_envs
            lost.append(
                f"{steps:,} env steps of the replay are lost: {folder / name} is damaged ({damage})"
            )
            continue
        # A file that was linked to may begin with steps that are older than the oldest.
        replay.frames[replay.span(kept, stop)] = frames[(kept - start) * replay.num_envs :]
        found[np.arange(kept, stop) % replay.length] = True
    if replay.priorities is not None:
        everywhere = np.arange(len(replay.rewards))
        replay.priorities.set(everywhere, state["priorities"])
    # These steps are older than what was saved: nothing has been read for them.
    replay.whole[replay.span(replay.added - replay.length, replay.oldest)] = False
    replay.forget_past(replay.oldest)
    for start, stop in runs_of(~found[np.arange(replay.oldest, replay.added) % replay.length]):
        replay.forget(replay.oldest + start, replay.oldest + stop)
    replay.allow(np.flatnonzero(~replay.whole), False)
    return lost


def read_segment(replay: Replay, path: Path, digest: str) -> NDArray:
    """The frames (steps x N, *frame) of a file. Raises one of UNREADABLE where it is not what
    was saved."""
    start, stop = segment_range(path.name)
    blob = path.read_bytes()
    if sha256(blob) != digest:
        raise ValueError("what it holds is not what was saved")
    frames = load(blob)["frames"]
    wanted = ((stop - start) * replay.num_envs, *replay.frames.shape[1:])
    if frames.shape != wanted or frames.dtype != replay.frames.dtype:
        raise ValueError(
            f"it holds {frames.dtype} {frames.shape}, not {replay.frames.dtype} {wanted}"
        )
    return frames


def segment_name(start: int, stop: int) -> str:
    """The name of the file with the frames of the steps from `start` to before `stop`."""
    return f"frames-{start:012d}-{stop:012d}.safetensors"


def segment_range(name: str) -> tuple[int, int]:
    """The first step of a file of frames, and the one after its last. Raises ValueError for another
    file's name."""
    found = SEGMENT.fullmatch(name)
    if not found:
        raise ValueError(f"{name} is not a file of frames")
    return int(found[1]), int(found[2])


def known_frames(previous: Path) -> dict[str, str]:
    """The files of frames in a replay that was saved before, with their digests; none where it
    cannot be read."""
    try:
        return load_state(previous)["frames"]
    except ValueError:
        return {}


def runs_of(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where runs of True begin, and where they have ended."""
    edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def flaw_of(replay: Replay, state: dict[str, Any]) -> str:
    """What the state of a saved replay has that this kind of replay cannot have; empty where there
    is no such thing."""
    try:
        return wrong_kind(replay, state) or wrong_shape(replay, state) or wrong_value(replay, state)
    except (LookupError, TypeError, ValueError, AttributeError) as missing:
        return f"a state that no run saved ({type(missing).__name__}: {missing})"


def wrong_kind(replay: Replay, state: dict[str, Any]) -> str:
    """In what a saved replay is of another kind than this one, as `flaw_of` says it; empty for the
    same kind."""
    kind = {"memory_size": 0} | state["kind"]  # earlier versions had no memories
    others = [
        f"{OPTIONS.get(name, name)} {kind[name]}, not {value}"
        for name, value in replay.kind.items()
        if kind[name] != value
    ]
    return f"been made with {'; '.join(others)}; go on with what it was made with" if others else ""


def wrong_shape(replay: Replay, state: dict[str, Any]) -> str:
    """The first saved column whose dtype or shape is not this replay's; empty where there is
    none."""
    columns = {name: getattr(replay, name) for name in COLUMNS}
    if replay.memories.size:
        columns["memories"] = replay.memories
    if replay.priorities is not None:
        columns["priorities"] = replay.priorities.leaves
    for name, column in columns.items():
        found = state[name]
        if (found.dtype, found.shape) != (column.dtype, column.shape):
            return f"{name} of {found.dtype} {found.shape}, not of {column.dtype} {column.shape}"
    return ""


def wrong_value(replay: Replay, state: dict[str, Any]) -> str:
    """The first saved value that no run can have: counters, columns beyond their ranges, final
    observations of other rows, gaps between files of frames; empty where there is none."""
    added = state["added"]
    oldest = state["oldest"]
    if not (is_count(added) and is_count(oldest) and added - replay.length <= oldest <= added):
        return f"the steps from {oldest!r} to {added!r}, of which it can hold {replay.length:,}"
    largest = float(np.finfo(np.float32).max)
    ranges = {
        "rewards": (-largest, largest),
        "begun": (0, added),
        "last": (-1, max(added - 1, 0)),
        "age": (0, replay.stack - 1),
        "max_priority": (0.0, largest),
    }
    if replay.priorities is not None:
        ranges["priorities"] = (0.0, largest)
    for name, (low, high) in ranges.items():
        values = np.asarray(state[name])
        if not ((values >= low) & (values <= high)).all():
            return f"{name} outside of {low:,} to {high:,}"
    finals = state["finals"]
    if not np.array_equal(np.sort(finals["rows"]), np.flatnonzero(state["final"])):
        return "final observations of other rows than it says"
    frame = replay.observation_shape if replay.stack == 1 else replay.observation_shape[1:]
    if len(finals["rows"]) and finals["frames"].shape != (len(finals["rows"]), *frame):
        return f"final observations of the shape {finals['frames'].shape[1:]}, not {frame}"
    borders = sorted(segment_range(name) for name in state["frames"])
    starts = [start for start, _ in borders]
    stops = [stop for _, stop in borders]
    gapless = (
        bool(borders) and starts[0] <= oldest and starts[1:] == stops[:-1] and stops[-1] == added
    )
    if not gapless and added > oldest:
        return f"files of frames that do not cover its steps from {oldest:,} to {added:,}"
    return ""
