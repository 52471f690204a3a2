"""Modules that were trained apart, read back: their settings and their weights, whoever wrote them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

FORMAT = "praxis-module-1"
WEIGHTS, DESCRIPTION = "module.safetensors", "module.json"
WIDTHS = ("width", "widths")
"""Settings that are no larger than the largest of the weights' dimensions; whatever is would fill the memory."""
NEEDED: dict[str, tuple[dict[str, Any], str]] = {
    "unet": ({"size": int, "widths": list[int], "skips": bool}, "last.bias"),
    "yolo": ({"size": int, "backbone": str}, "head.3.bias"),
    "ssd": ({"size": int, "backbone": str, "maps": int}, "detector.head.classification_head.module_list.0.bias"),
    "maskrcnn": ({"size": int, "backbone": str}, "detector.roi_heads.box_predictor.scores.bias"),
    "classifier": ({"backbone": str}, "fc.bias"),
}
"""By module: the settings that its network is built from, with their types, and the weights (N,) whose number says how
many classes it has."""


def trained(folder: str, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The task's settings and the weights that scripts/train_module.py wrote.

    Raises ValueError, in one line, where the folder is not such a module's."""
    if not folder:
        raise ValueError(
            f"This encoder needs a trained module: scripts/train_module.py {name}, then --encoder.weights."
        )
    try:
        settings, weights = read_module(Path(folder), (name,))
        types, classes_by = NEEDED[name]
        check_settings(settings, types, weights)
        if weights[classes_by].ndim != 1:
            raise ValueError(f"{classes_by} is not a row of weights")
        if name == "ssd" and not 1 <= settings["maps"] <= 3:
            raise ValueError(f"maps is {settings['maps']}, not 1 to 3")
    except DAMAGES as damage:
        raise ValueError(f"{folder} holds no trained {name}: {damage}") from damage
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


def check_size(settings: dict[str, Any], folder: str, height: int, width: int) -> None:
    """Raises ValueError, in one line, where the module was trained on screens of another size than an agent's."""
    if (settings["size"], settings["size"]) != (height, width):
        seen = f"of {settings['size']} pixels" if settings["size"] else "as large as the console's"
        raise ValueError(f"{folder} was trained on screens {seen}, not {height}x{width}: --task.size {height}.")
