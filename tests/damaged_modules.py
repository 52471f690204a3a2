"""Folders of trained modules with something wrong in them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

REMOVED = object()
DESCRIPTIONS: dict[str, tuple[tuple[str, ...], Any]] = {
    "no format": (("format",), REMOVED),
    "another format": (("format",), 3),
    "no name": (("name",), REMOVED),
    "a name that is a list": (("name",), ["unet"]),
    "no settings": (("settings",), REMOVED),
    "settings that are a text": (("settings",), "all"),
    "a task that is a number": (("settings", "task"), 7),
    "a task that is a list": (("settings", "task"), []),
    "a task without settings": (("settings", "task"), {}),
}
"""By what is wrong: where in module.json, and what is there."""
TEXTS = {
    "empty": "",
    "half": "{",
    "a list": "[]",
    "null": "null",
    "deep": "[" * 100_000,
    "a zero byte": chr(0),
}
"""Content of a module.json."""
WEIGHTS = ("missing", "empty", "a text", "half", "a folder", "not finite")


def change(folder: Path, path: tuple[str, ...], value: Any) -> None:
    """Changes or removes what is at this path of keys in the folder's module.json."""
    described = json.loads((folder / "module.json").read_text())
    place = described
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    if value is REMOVED:
        del place[path[-1]]
    (folder / "module.json").write_text(json.dumps(described))


def damage_weights(folder: Path, how: str) -> None:
    path = folder / "module.safetensors"
    whole = path.read_bytes()
    weights = load_file(path)
    path.unlink()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "a text":
        path.write_text("These are no weights.")
    elif how == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "a folder":
        path.mkdir()
    elif how == "not finite":
        first = next(name for name, values in weights.items() if values.is_floating_point())
        save_file(weights | {first: torch.full_like(weights[first], torch.nan)}, path)
