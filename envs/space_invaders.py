"""What is where on Space Invaders' screen, by the game's exact colours.

RAM positions, as OCAtari reads them (Delfosse et al. 2024), agree with the pixels but for bullets; colours do for all.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = ("background", "alien", "player", "shield", "bullet", "ground")
COLOURS = {20: 1, 196: 2, 52: 3, 6: 4, 226: 5}
"""Number in the console's palette -> class."""
FIELD = slice(22, 196)  # rows between the scores and the lives, whose digits have the player's colour
ALIEN_GAP = 4  # pixels: the pieces of an alien lie at most so far apart, and two aliens further
SHIELD_COLUMNS = (slice(32, 64), slice(64, 96), slice(96, 128))
ALIENS_IN_RAM = 17
"""Where the console keeps the number of aliens that are left."""


def classes_of(screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class of each pixel (210, 160) of a screen of palette numbers (210, 160)."""
    table = np.zeros(256, np.uint8)
    for colour, number in COLOURS.items():
        table[colour] = number
    classes = np.zeros_like(screen)
    classes[FIELD] = table[screen[FIELD]]
    return classes


def boxes_of(classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Objects of `classes_of` (M, 5): class, left, top, right, bottom, in pixels, right and bottom just outside."""
    boxes: list[tuple[int, int, int, int, int]] = []
    for name in ("alien", "player", "bullet"):
        boxes += pieces(classes == CLASSES.index(name), CLASSES.index(name))
    shield = classes == CLASSES.index("shield")
    for columns in SHIELD_COLUMNS:  # shots cut a shield into pieces, and it is one shield still
        if shield[:, columns].any():
            left, top, right, bottom = bounds(shield[:, columns])
            boxes.append((CLASSES.index("shield"), left + columns.start, top, right + columns.start, bottom))
    return np.array(boxes, np.int64).reshape(-1, 5)


def pieces(mask: NDArray[np.bool_], number: int) -> list[tuple[int, int, int, int, int]]:
    """Connected objects, over gaps as there are within an alien."""
    closed = cv2.dilate(mask.astype(np.uint8), np.ones((ALIEN_GAP, ALIEN_GAP), np.uint8))
    count, labels = cv2.connectedComponents(closed)
    return [(number, *bounds(mask & (labels == piece))) for piece in range(1, count)]


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is true."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
