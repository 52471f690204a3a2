"""Modules that were trained apart, read back: their settings and their weights, whoever wrote them."""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

FORMAT = "praxis-module-1"
WEIGHTS, DESCRIPTION = "module.safetensors", "module.json"
WIDTHS = ("width", "widths")
"""Settings that are no larger than the largest of the weights' dimensions; whatever is would fill the memory."""
Language = Literal["en", "zh"]
TRANSLATION: dict[str, Any] = {"language": Language, "texts": Literal["help", "missions"], "pairs": int}
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
    """The task's settings and the weights that scripts/train_module.py wrote, of a module with one of these names.

    Raises ValueError, in one line, where the folder is not such a module's."""
    if not folder:
        raise ValueError(f"No folder of a trained {names[0]} was given: scripts/train_module.py {names[0]} makes one.")
    try:
        settings, weights = read_module(Path(folder), names)
        check_settings(settings, NEEDED[names[0]], weights)
    except DAMAGES as damage:
        raise ValueError(f"{folder} holds no trained {names[0]}: {damage}") from damage
    return settings, weights


def read_module(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The task's settings and the weights of a module with one of these names. Raises one of DAMAGES otherwise."""
    if not (folder / DESCRIPTION).is_file():
        raise ValueError(f"it has no {DESCRIPTION}")
    described = json.loads((folder / DESCRIPTION).read_text())
    if described["format"] != FORMAT or described["name"] not in names:
        raise ValueError(f"it is a {described['name']} in format {described['format']}")
    settings = check_type(described["settings"]["task"], dict[str, Any])
    weights = load_file(folder / WEIGHTS)
    for name, values in weights.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise ValueError(f"{name} has numbers that are not finite")
    return settings, weights


DAMAGES = (OSError, ValueError, LookupError, TypeError, RecursionError, SafetensorError, TypeCheckError)
"""What reading a module raises where it is damaged or somebody else's."""


def check_settings(settings: dict[str, Any], types: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Raises ValueError or TypeCheckError where a setting is missing, of another type, or too large for the weights."""
    largest = max((size for values in weights.values() for size in values.shape), default=0)
    for name, expected in types.items():
        if name not in settings:
            raise ValueError(f"it has no setting {name}")
        value = check_type(settings[name], expected, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
        numbers = value if isinstance(value, list) else [value]
        if name in WIDTHS and not (numbers and all(1 <= number <= largest for number in numbers)):
            raise ValueError(f"{name} is {value}, which its weights do not have")


def take_weights(module: nn.Module, weights: dict[str, Tensor], folder: str) -> None:
    """Into the module. Raises ValueError, in one line, where they are of another network."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as misfit:
        raise ValueError(f"{folder} holds the weights of another network than this one: train it anew.") from misfit
