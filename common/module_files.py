"""The folder of a module that was trained apart: its settings as JSON and its weights as
safetensors."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from common.files import DESCRIPTION, read_json
from common.renamed import renamed

FORMAT = "praxis-module-1"
WEIGHTS = "module.safetensors"
WIDTHS = ("width", "widths")
"""Settings that are no larger than the largest of the weights' dimensions; a larger one would fill
the memory."""
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RecursionError,
    SafetensorError,
    TypeCheckError,
)
"""The errors that reading a damaged or foreign module raises."""


def read_module(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The task's settings and the weights of a module with one of these names. Raises one of
    UNREADABLE otherwise."""
    if not (folder / DESCRIPTION).is_file():
        raise ValueError(f"it has no {DESCRIPTION}")
    description = read_json(folder / DESCRIPTION)
    if description["format"] != FORMAT or description["name"] not in names:
        raise ValueError(f"it is a {description['name']} in format {description['format']}")
    settings = check_type(description["settings"]["task"], dict[str, Any])
    return settings, read_weights(folder)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a module, by name. Raises one of UNREADABLE where they are damaged or not
    finite."""
    weights = {renamed(name): values for name, values in load_file(folder / WEIGHTS).items()}
    for name, values in weights.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise ValueError(f"{name} has numbers that are not finite")
    return weights


def check_settings(
    settings: dict[str, Any], types: dict[str, Any], weights: dict[str, Tensor]
) -> None:
    """Raises ValueError or TypeCheckError where a setting is missing, of another type, or too large
    for the weights."""
    largest = max((size for values in weights.values() for size in values.shape), default=0)
    for name, expected in types.items():
        if name not in settings:
            raise ValueError(f"it has no setting {name}")
        value = check_type(
            settings[name], expected, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS
        )
        numbers = value if isinstance(value, list) else [value]
        if name in WIDTHS and not (numbers and all(1 <= number <= largest for number in numbers)):
            raise ValueError(f"{name} is {value}, which its weights do not have")


def take_weights(module: nn.Module, weights: dict[str, Tensor], folder: str) -> None:
    """Loads weights into a module. Raises ValueError, in one line, where they are of another
    network."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as misfit:
        raise ValueError(
            f"{folder} holds the weights of another network than this one: train it anew."
        ) from misfit
