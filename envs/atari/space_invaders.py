"""What is where on Space Invaders' screen, by the game's exact colors.

RAM positions, as OCAtari reads them (Delfosse et al. 2024), agree with the pixels but for bullets;
colors do for all.
"""

import numpy as np
from numpy.typing import NDArray

from envs.atari.games import HEIGHT, WIDTH

CLASSES = ("background", "alien", "player", "shield", "bullet", "ground")
COLORS = {20: 1, 196: 2, 52: 3, 6: 4, 226: 5}
"""Number in the console's palette -> class."""
GREYS = {122: 1, 98: 2, 107: 3, 142: 4, 79: 5}
"""The same colors as the console's greys -> class."""
FIELD = slice(
    22, 196
)  # rows between the scores and the lives, whose digits have the player's color
ALIEN_GAP = 4  # pixels: the pieces of an alien lie at most so far apart, and two aliens further
SHIELD_COLUMNS = (slice(32, 64), slice(64, 96), slice(96, 128))
ALIENS_IN_RAM = 17
"""Where the console keeps the number of aliens that are left."""


def classes_of(screen: NDArray[np.uint8], colors: dict[int, int] = COLORS) -> NDArray[np.uint8]:
    """Class of each pixel (210, 160) of a screen of palette numbers, or of whatever `colors` tells
    classes by."""
    table = np.zeros(256, np.uint8)
    table[list(colors)] = list(colors.values())
    classes = np.zeros_like(screen)
    classes[FIELD] = table[screen[FIELD]]
    return classes


def boxes_of(classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Objects of `classes_of` (M, 5): class, left, top, right, bottom, in pixels, right and bottom
    just outside."""
    boxes: list[tuple[int, int, int, int, int]] = []
    for name in ("alien", "player", "bullet"):
        boxes += pieces(classes == CLASSES.index(name), CLASSES.index(name))
    shield = classes == CLASSES.index("shield")
    for columns in SHIELD_COLUMNS:  # shots cut a shield into pieces, and it is one shield still
        if shield[:, columns].any():
            left, top, right, bottom = bounds(shield[:, columns])
            boxes.append(
                (CLASSES.index("shield"), left + columns.start, top, right + columns.start, bottom)
            )
    return np.array(boxes, np.int64).reshape(-1, 5)


def pieces(mask: NDArray[np.bool_], number: int) -> list[tuple[int, int, int, int, int]]:
    """Connected objects, over gaps as there are within an alien."""
    import cv2  # takes a tenth of a second; commands that only read settings do without

    count, labels = cv2.connectedComponents(
        cv2.dilate(mask.view(np.uint8), np.ones((ALIEN_GAP, ALIEN_GAP), np.uint8))
    )
    rows, columns = np.nonzero(mask)
    of = labels[rows, columns].astype(np.intp) - 1
    boxes = np.tile(np.array([WIDTH, HEIGHT, 0, 0]), (count - 1, 1))
    np.minimum.at(boxes[:, 0], of, columns)
    np.minimum.at(boxes[:, 1], of, rows)
    np.maximum.at(boxes[:, 2], of, columns + 1)
    np.maximum.at(boxes[:, 3], of, rows + 1)
    return [(number, *own) for own in boxes.tolist()]


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is true."""
    columns = np.flatnonzero(mask.any(0))
    rows = np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
