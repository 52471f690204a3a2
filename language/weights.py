"""Modules that were trained apart, read back: their settings and their weights."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

FORMAT = "praxis-module-1"
WEIGHTS, DESCRIPTION = "module.safetensors", "module.json"


def trained(folder: str, *names: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The task's settings and the weights that scripts/train_module.py wrote, of a module with one of these names.

    Raises ValueError, in one line, where the folder is not such a module's."""
    if not folder:
        raise ValueError(f"No folder of a trained {names[0]} was given: scripts/train_module.py {names[0]} makes one.")
    try:
        told = json.loads((Path(folder) / DESCRIPTION).read_text())
        if told["format"] != FORMAT or told["name"] not in names:
            raise ValueError(f"it is a {told['name']} in format {told['format']}")
        return told["settings"]["task"], load_file(Path(folder) / WEIGHTS)
    except (OSError, ValueError, LookupError, TypeError, SafetensorError) as damage:
        raise ValueError(f"{folder} holds no trained {names[0]}: {damage}") from damage


def take_weights(module: nn.Module, weights: dict[str, Tensor], folder: str) -> None:
    """Into the module. Raises ValueError, in one line, where they are of another network."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as misfit:
        raise ValueError(f"{folder} holds the weights of another network than this one: train it anew.") from misfit
