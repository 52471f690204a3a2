"""An episode as a chart: what was measured and done, one panel below the other."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH = 640
HEIGHT = 110
LEFT, RIGHT, ABOVE, BELOW = 58, 12, 22, 8
"""Pixels around a panel's curve."""
INK = (40, 40, 40)
PALE = (215, 215, 215)
GREEN = (222, 240, 222)
BLUE = (40, 90, 180)
RED = (190, 70, 40)


class Panel(NamedTuple):
    """A curve over time."""

    title: str
    """With its unit."""
    low: float
    high: float
    """What the axis spans; a value beyond is drawn at its edge."""
    band: tuple[float, float] | None = None
    """Where it ought to be."""
    dose: bool = False
    """Drawn as bars: what was given from one step to the next."""


def drawn(
    panels: tuple[Panel, ...], told: NDArray[np.float64], step_hours: float
) -> NDArray[np.uint8]:
    """Numbers (T, panels), nan where there is none, from admission on -> RGB (height, width, 3).

    A dose stands with the step that it led to."""
    picture = np.full((HEIGHT * len(panels) + 24, WIDTH, 3), 255, np.uint8)
    steps = max(20, len(told) - 1)
    across = LEFT + (WIDTH - LEFT - RIGHT) * np.arange(len(told)) / steps
    for row, panel in enumerate(panels):
        _draw(picture[row * HEIGHT : (row + 1) * HEIGHT], panel, told[:, row], across)
    days = (len(told) - 1) * step_hours / 24
    _write(picture, f"day {days:.1f}", (LEFT, len(picture) - 8))
    return picture


def beside(chart: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A chart, and to its right what was seen last: the newest channel of (C, H, W), enlarged."""
    import cv2  # here, because few commands draw

    side = 256
    large = cv2.resize(image[-1], (side, side), interpolation=cv2.INTER_NEAREST)
    right = np.full((len(chart), side + RIGHT, 3), 255, np.uint8)
    right[ABOVE : ABOVE + side, :side] = large[..., None]
    return np.concatenate([chart, right], 1)


def _draw(
    part: NDArray[np.uint8], panel: Panel, values: NDArray[np.float64], across: NDArray[np.float64]
) -> None:
    import cv2  # here, because few commands draw

    top = ABOVE
    bottom = HEIGHT - BELOW

    def height(value: NDArray | float) -> NDArray:
        share = (np.clip(value, panel.low, panel.high) - panel.low) / (panel.high - panel.low)
        return np.round(bottom - share * (bottom - top)).astype(int)

    if panel.band:
        cv2.rectangle(
            part,
            (LEFT, int(height(panel.band[1]))),
            (WIDTH - RIGHT, int(height(panel.band[0]))),
            GREEN,
            -1,
        )
    cv2.rectangle(part, (LEFT, top), (WIDTH - RIGHT, bottom), PALE, 1)
    _write(part, panel.title, (LEFT, ABOVE - 7))
    _write(part, f"{panel.high:g}", (4, top + 8))
    _write(part, f"{panel.low:g}", (4, bottom))
    known = ~np.isnan(values)
    if not known.any():
        return
    _write(
        part,
        f"{values[known][-1]:.3g}",
        (WIDTH - RIGHT - 70, ABOVE - 7),
        RED if panel.dose else BLUE,
    )
    if panel.dose:
        for step in np.flatnonzero(known[1:]) + 1:
            start = int(across[step - 1])
            end = max(int(across[step - 1]) + 1, int(across[step]) - 1)
            cv2.rectangle(part, (start, int(height(values[step]))), (end, bottom), RED, -1)
        return
    line = np.stack([across[known].astype(int), height(values[known])], 1)
    cv2.polylines(part, [line.astype(np.int32)], False, BLUE, 2, cv2.LINE_AA)


def _write(
    part: NDArray[np.uint8], text: str, place: tuple[int, int], color: tuple[int, int, int] = INK
) -> None:
    import cv2  # here, because few commands draw

    cv2.putText(part, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)
