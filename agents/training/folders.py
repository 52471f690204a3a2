"""Folders that a training writes into: new ones, room on their disk, and one writer at a time."""

import errno
import fcntl
import json
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import psutil

from agents.experiment import InvalidExperiment, require
from common.files import TEMPORARY

OWNER = "owner.json"
"""The file whose lock says that a process writes into its folder, and whose text says which."""
FREE_DISK_BYTES = 200 * 2**20
NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
ADDRESS = re.compile(r"[a-z][a-z0-9+]+:/", re.IGNORECASE)
"""How an address begins, with the second slash that Path takes away."""
SETTLING_SECONDS = 0.5

_held: set[int] = set()
"""Descriptors of this process's locks."""


@dataclass(frozen=True)
class Owner:
    """A process that writes into a folder."""

    host: str
    pid: int
    since: str
    """Local time at which the process started."""

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.host}, started at {self.since}"
            if self.pid
            else "another process"
        )


UNKNOWN = Owner("", 0, "")
"""A process that has not written who it is."""


@contextmanager
def owned(folder: Path) -> Iterator[Path]:
    """Makes this process the only one that writes into an existing folder, until the end of the
    block.

    The kernel releases the lock however the process ends. Raises InvalidExperiment, which names the
    other process, where one writes into the folder already, or where the folder cannot be written
    to."""
    path = (folder / OWNER).absolute()  # an environment may change to another folder
    descriptor = take(path)
    _held.add(descriptor)
    try:
        yield folder
    finally:
        _held.discard(descriptor)
        # While it is still locked: afterwards it could be another process's.
        path.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def new_folder(wanted: str, default: str) -> Iterator[Path]:
    """A new folder that this process owns: `wanted`, or, where that is empty, the first of
    `default`, `default-2`, `default-3`, ... that does not exist. If nothing is written into it, it
    is removed at the end of the block.

    Raises InvalidExperiment where `wanted` holds something, or another process owns it."""
    with made(wanted, default) as path, owned(path):
        require(is_vacant(path), occupied(path))
        for leftover in path.glob(f"{TEMPORARY}*"):
            leftover.unlink()
        yield path


@contextmanager
def made(wanted: str, default: str) -> Iterator[Path]:
    """The folder of `new_folder`, which may be another process's. Parents and folder are removed in
    the end if this call made them and they are empty."""
    first = Path(wanted or default)
    is_new = not wanted or not exists(first)
    new_parents = [path for path in first.parents if not exists(path)]
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        path = first if wanted else first_free(first)
        path.mkdir(exist_ok=True)
    except (OSError, ValueError) as refusal:
        raise InvalidExperiment(f"{first} cannot be made: {reason_of(refusal)}.") from refusal
    own = [folder.absolute() for folder in (path, *new_parents)] if is_new else []
    try:
        yield path
    finally:
        for folder in own:
            with suppress(OSError):  # it holds something
                folder.rmdir()


def first_free(path: Path) -> Path:
    """Makes `path`, or `path-2`, `path-3`, ..., whichever does not exist. No two callers get the
    same one."""
    for number in count(1):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with suppress(FileExistsError):
            candidate.mkdir()
            return candidate
    raise AssertionError("There is no last number.")


def check_new_folder(folder: Path, checkpoint_bytes: int = 0) -> None:
    """Raises InvalidExperiment for a folder that holds something or is another process's, or has no
    room to write, and for what a shell or a store would have to read as a path first."""
    text = str(folder)
    require(
        not text.startswith("~"),
        f"{text} begins with ~, which only a shell reads as your home; write it out.",
    )
    require(
        not ADDRESS.match(text),
        f"{text} is an address; runs are written to folders of this machine.",
    )
    require(
        exists(folder) or not folder.is_symlink(),
        f"{folder} is a link that leads nowhere; choose another --run-dir.",
    )
    owner = owner_of(folder)
    require(owner is None, f"{folder} is written to by {owner}; choose another --run-dir.")
    require(not exists(folder) or is_vacant(folder), occupied(folder))
    check_disk(folder, checkpoint_bytes)


def check_disk(folder: Path, checkpoint_bytes: int = 0) -> None:
    """Raises InvalidExperiment where checkpoints could not be written; `checkpoint_bytes` is
    besides networks."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if exists(path))
    require(nearest.is_dir(), f"{nearest} is a file, not a folder to write a run into.")
    require(os.access(nearest, os.W_OK | os.X_OK), f"{nearest} cannot be written to.")
    free = shutil.disk_usage(nearest).free
    needed = FREE_DISK_BYTES + checkpoint_bytes
    hint = (
        " Most of it is the replay; see --algo.checkpoint-replay-limit-gb."
        if checkpoint_bytes
        else ""
    )
    require(
        free > needed,
        f"Only {free >> 20:,} MiB are free at {nearest}; this run needs {needed >> 20:,} "
        f"MiB.{hint}",
    )


def exists(path: Path) -> bool:
    """Whether the path exists. Raises InvalidExperiment for a name that no file can have."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as refusal:
        raise InvalidExperiment(
            f"No folder can be at {str(path)[:60]}...: {reason_of(refusal)}."
        ) from refusal
    return True


def reason_of(refusal: OSError | ValueError) -> str:
    """The reason without the path, which may be long."""
    return (isinstance(refusal, OSError) and refusal.strerror) or str(refusal)


def is_vacant(folder: Path) -> bool:
    """Whether a new run may begin in this folder: it is empty, but for what a killed process had
    just begun."""
    if not folder.is_dir():
        return False
    return all(path.name == OWNER or path.name.startswith(TEMPORARY) for path in folder.iterdir())


def occupied(folder: Path) -> str:
    """The message for a folder in which no new run can begin."""
    return f"{folder} exists already; choose another --run-dir, or go on with it: --resume {folder}"


def owner_of(folder: Path) -> Owner | None:
    """The other process that writes into this folder; None where no process does."""
    try:
        descriptor = os.open(folder / OWNER, os.O_RDWR)
    except (OSError, ValueError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as refusal:
        if refusal.errno in NO_LOCKS_HERE:
            holder = recorded(folder / OWNER)
            return holder if may_be_alive(holder) else None
        return lock_holder(folder / OWNER)
    finally:
        os.close(descriptor)
    return None


def take(path: Path) -> int:
    """The descriptor of an owner file that this process has locked; see `owned`."""
    while True:
        try:
            # A link could lead to any file of the user's, which the record would overwrite.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as refusal:
            raise InvalidExperiment(
                f"{path.parent} cannot be written to: {refusal.strerror}."
            ) from refusal
        try:
            require(
                stat.S_ISREG(os.fstat(descriptor).st_mode),
                f"{path} is not a plain file; remove it.",
            )
            lock(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
        os.close(descriptor)  # the owner before removed the file after it was opened here


def lock(descriptor: int, path: Path) -> None:
    """Locks the file and writes into it whose it is. Raises InvalidExperiment where it is another
    process's."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as refusal:
        if refusal.errno in NO_LOCKS_HERE:
            take_by_record(descriptor, path)
            return
        raise InvalidExperiment(
            f"{path.parent} is written to by {lock_holder(path)}; wait until it has ended, or stop "
            "it."
        ) from refusal
    write_record(descriptor)


def lock_holder(path: Path) -> Owner:
    """The process that has locked an owner file; it may only be about to write into it who it
    is."""
    deadline = time.monotonic() + SETTLING_SECONDS
    while time.monotonic() < deadline:
        if holder := recorded(path):
            return holder
        time.sleep(0.01)
    return UNKNOWN


def take_by_record(descriptor: int, path: Path) -> None:
    """For file systems without locks, such as some of clusters: the file's text alone says whose it
    is. Of several processes that write it at the same time, the last one is the owner."""
    holder = recorded(path)
    require(
        not may_be_alive(holder),
        f"{path.parent} is written to by {holder}. This file system has no locks: if that process "
        "has ended, "
        f"delete {path}.",
    )
    write_record(descriptor)
    time.sleep(SETTLING_SECONDS)
    winner = recorded(path)
    require(
        winner == this_process(),
        f"{path.parent} is written to by {winner}; wait until it has ended, or stop it.",
    )


def may_be_alive(holder: Owner | None) -> bool:
    """Whether this other process may exist: of this machine's it is known, of others' it is not."""
    if holder is None or holder == this_process():
        return False
    if holder.host != socket.gethostname():
        return True
    with suppress(psutil.Error):
        return started_at(holder.pid) == holder.since
    return False


def recorded(path: Path) -> Owner | None:
    """Who an owner file names; None where it is empty or damaged."""
    with suppress(OSError, TypeError, ValueError, RecursionError):
        return Owner(**json.loads(path.read_bytes()))
    return None


def write_record(descriptor: int) -> None:
    """Writes into an open owner file that it is this process's, through to the disk."""
    content = json.dumps(asdict(this_process())).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)
    os.fsync(descriptor)


def this_process() -> Owner:
    return Owner(socket.gethostname(), os.getpid(), started_at(os.getpid()))


def started_at(pid: int) -> str:
    """Local time at which a process started. Raises psutil.NoSuchProcess where there is none."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(psutil.Process(pid).create_time()))


def _let_go() -> None:
    """In a forked process: an environment's must not keep the lock when its run has been killed."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
