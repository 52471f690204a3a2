"""Screens with a square and a cross of one color, to learn from in seconds; and modules as they
lie on a disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import nn

from perception.vision.frames import Frames


def squares(size: int, seed: int) -> Frames:
    """A bright square (class 1) and a cross (class 2) of one color on each screen."""
    random = np.random.default_rng(seed)
    screens, boxes = np.zeros((size, 40, 40), np.uint8), []
    for n in range(size):
        for number in (1, 2):
            top, left = random.integers(2, 30), random.integers(2, 12) + 18 * (number - 1)
            cross = np.eye(8, dtype=bool) | np.eye(8, dtype=bool)[::-1]
            screens[n, top : top + 8, left : left + 8][
                np.ones((8, 8), bool) if number == 1 else cross
            ] = 1
            boxes.append([n, number, left, top, left + 8, top + 8])
    palette = np.zeros((1, 256, 3), np.uint8)
    palette[0, 1] = 150
    zeros = np.zeros(size, np.int64)
    names = ("nothing", "square", "cross")
    return Frames(screens, zeros, zeros, screens, np.array(boxes), ("Game",), names, palette)


def write_module(folder: Path, module: nn.Module, name: str, task: dict[str, Any]) -> str:
    """As scripts/train_module.py leaves a module that was trained for this task; gives the
    folder."""
    save_file(
        {key: value.contiguous() for key, value in module.state_dict().items()},
        folder / "module.safetensors",
    )
    told = {"format": "praxis-module-1", "name": name, "settings": {"task": task}}
    (folder / "module.json").write_text(json.dumps(told))
    return str(folder)
