"""Modules that were trained apart, read back: their settings and their weights."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

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
