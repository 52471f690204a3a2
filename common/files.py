"""Files that are whole or not there: written beside, flushed to the disk, renamed."""

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

DESCRIPTION = "module.json"
"""The settings and scores of a module that was trained apart, in its folder beside the weights."""
TEMPORARY = ".writing-"
"""What the name of a file or folder begins with until it is whole."""


def write_durably(path: Path, content: bytes) -> None:
    """Writes beside, flushes to the disk, renames: the path holds the old or the new content."""
    beside = path.with_name(
        f"{TEMPORARY}{path.name}.{secrets.token_hex(4)}"
    )  # another process may write it, too
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as failure:
        with suppress(OSError):  # the cause of the failure may forbid this as well
            beside.unlink()
        if isinstance(failure, OSError) and failure.filename is None:
            failure.filename = str(path)  # a full disk does not say what it was to hold
        raise
    sync_folder(path.parent)


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Writes JSON durably; without indentation, on one line, for `indent` None."""
    write_durably(path, f"{json.dumps(content, indent=indent)}\n".encode())


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises ValueError, in one line, for a file that holds none,
    OSError where it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except RecursionError as nesting:
        raise ValueError("it is nested too deeply") from nesting


def sync_folder(folder: Path) -> None:
    """Flushes a folder's entries, such as a renamed file, to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
