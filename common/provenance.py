"""The commit, versions and machine that something was made with."""

import os
import platform
import subprocess
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("praxis-rl", "ray", "torch", "gymnasium", "ale-py", "numpy")


def made_by() -> dict[str, Any]:
    """Commit, versions, machine."""
    return {
        "git_commit": git_commit(),
        "packages": {name: installed_version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.cuda.device_count()} "
        "GPUs",
    }


def git_commit() -> str:
    """What `git describe` says of the repository: its commit, with -dirty where files were changed;
    empty where git says nothing."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=False
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def installed_version(package: str) -> str:
    """The version of a package; of this one, where it is not installed, by its pyproject.toml;
    empty where unknown."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    with suppress(OSError, LookupError, ValueError):
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        return project["version"] if project["name"] == package else ""
    return ""
