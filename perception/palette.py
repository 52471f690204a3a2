"""Colors of classes in pictures, which the color-blind can tell apart (Okabe and Ito 2008)."""

import numpy as np

COLORS = np.array(
    [
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (213, 94, 0),
        (255, 255, 255),
        (0, 158, 115),
        (204, 121, 167),
    ],
    np.uint8,
)
