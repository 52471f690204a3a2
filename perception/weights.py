"""Modules that were trained apart, read back: their settings and their weights, whoever wrote
them."""

from pathlib import Path
from typing import Any

from torch import Tensor

from common.module_files import UNREADABLE, check_settings, read_module

NEEDED: dict[str, tuple[dict[str, Any], str]] = {
    "unet": ({"size": int, "widths": list[int], "skips": bool}, "last.bias"),
    "yolo": ({"size": int, "backbone": str}, "head.3.bias"),
    "ssd": (
        {"size": int, "backbone": str, "maps": int},
        "detector.head.classification_head.module_list.0.bias",
    ),
    "maskrcnn": ({"size": int, "backbone": str}, "detector.roi_heads.box_predictor.scores.bias"),
    "classifier": ({"backbone": str}, "fc.bias"),
}
"""By module: the settings that its network is built from, with their types, and the weights (N,)
whose number says how many classes it has."""


def trained(folder: str, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The task's settings and the weights that scripts/train_module.py wrote.

    Raises ValueError, in one line, where the folder is not such a module's."""
    if not folder:
        raise ValueError(
            f"This encoder needs a trained module: scripts/train_module.py {name}, then "
            "--encoder.weights."
        )
    try:
        settings, weights = read_module(Path(folder), (name,))
        types, classes_by = NEEDED[name]
        check_settings(settings, types, weights)
        if weights[classes_by].ndim != 1:
            raise ValueError(f"{classes_by} is not a row of weights")
        if name == "ssd" and not 1 <= settings["maps"] <= 3:
            raise ValueError(f"maps is {settings['maps']}, not 1 to 3")
    except UNREADABLE as damage:
        raise ValueError(f"{folder} holds no trained {name}: {damage}") from damage
    return settings, weights


def check_size(settings: dict[str, Any], folder: str, height: int, width: int) -> None:
    """Raises ValueError, in one line, where the module was trained on screens of another size than
    an agent's."""
    if (settings["size"], settings["size"]) != (height, width):
        seen = f"of {settings['size']} pixels" if settings["size"] else "as large as the console's"
        raise ValueError(
            f"{folder} was trained on screens {seen}, not {height}x{width}: --task.size {height}."
        )
