"""Modules that were trained apart, read back: their settings and their weights."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

FORMAT = "praxis-module-1"
WEIGHTS, DESCRIPTION = "module.safetensors", "module.json"


def trained(folder: str, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The task's settings and the weights that scripts/train_module.py wrote.

    Raises ValueError, in one line, where the folder is not such a module's."""
    if not folder:
        raise ValueError(
            f"This encoder needs a trained module: scripts/train_module.py {name}, then --encoder.weights."
        )
    try:
        told = json.loads((Path(folder) / DESCRIPTION).read_text())
        if (told["format"], told["name"]) != (FORMAT, name):
            raise ValueError(f"it is a {told['name']} in format {told['format']}")
        return told["settings"]["task"], load_file(Path(folder) / WEIGHTS)
    except (OSError, ValueError, LookupError, TypeError, SafetensorError) as damage:
        raise ValueError(f"{folder} holds no trained {name}: {damage}") from damage


def take_weights(module: nn.Module, weights: dict[str, Tensor], folder: str) -> None:
    """Into the module. Raises ValueError, in one line, where they are of another network."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as misfit:
        raise ValueError(f"{folder} holds the weights of another network than this one: train it anew.") from misfit


def check_size(settings: dict[str, Any], folder: str, height: int, width: int) -> None:
    """Raises ValueError, in one line, where the module was trained on screens of another size than an agent's."""
    if (settings["size"], settings["size"]) != (height, width):
        seen = f"of {settings['size']} pixels" if settings["size"] else "as large as the console's"
        raise ValueError(f"{folder} was trained on screens {seen}, not {height}x{width}: --task.size {height}.")
