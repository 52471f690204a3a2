"""Modules that were trained apart, read back: their settings and their weights, whoever wrote
them."""

from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from common.module_files import UNREADABLE, check_settings, read_module

Language = Literal["en", "zh"]
TRANSLATION: dict[str, Any] = {
    "language": Language,
    "texts": Literal["help", "missions"],
    "pairs": int,
}
NEEDED: dict[str, dict[str, Any]] = {
    "similarity": {"kind": Literal["siamese", "bert"], "width": int},
    "retrieval": {"width": int},
    "embeddings": {},
    "translation": TRANSLATION,
    "mission-translation": TRANSLATION,
    "distillation": TRANSLATION,
    "back-translation": TRANSLATION,
}
"""By module: the settings that others need of it, with their types."""


def trained(folder: str, *names: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The task's settings and the weights that scripts/train_module.py wrote, of a module with one
    of these names.

    Raises ValueError, in one line, where the folder is not such a module's."""
    if not folder:
        raise ValueError(
            f"No folder of a trained {names[0]} was given: scripts/train_module.py {names[0]} "
            "makes one."
        )
    try:
        settings, weights = read_module(Path(folder), names)
        check_settings(settings, NEEDED[names[0]], weights)
    except UNREADABLE as damage:
        raise ValueError(f"{folder} holds no trained {names[0]}: {damage}") from damage
    return settings, weights
