"""Filling polygons by scanlines, in integers, so that every machine draws the same bytes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

SCALE = 3
"""Subpixels per pixel and axis."""

UNIT = 16
"""Steps per subpixel in which corners are given."""


class Patch(NamedTuple):
    """A filled polygon in its bounding box on the subpixel grid."""

    top: int
    left: int
    inside: Bool[np.ndarray, "height width"]


def fill(x: np.ndarray, y: np.ndarray, size: int) -> Patch | None:
    """Fill a polygon by the even-odd rule.

    Args:
        x: corners, integers in 1/`UNIT` subpixels.
        y: likewise.
        size: of the subpixel grid; what lies beyond is cut off.

    Returns:
        The filled bounding box, or None where nothing lies within the grid.
    """
    top, bottom = max(0, int(y.min()) // UNIT), min(size, int(y.max()) // UNIT + 1)
    left, right = max(0, int(x.min()) // UNIT), min(size, int(x.max()) // UNIT + 1)
    if top >= bottom or left >= right:
        return None
    # A subpixel is inside where its centre is: centres lie at odd multiples of half a subpixel.
    rows = np.arange(top, bottom) * UNIT + UNIT // 2
    x1, y1 = np.roll(x, -1), np.roll(y, -1)
    low, high = np.minimum(y, y1), np.maximum(y, y1)
    crosses = (rows[:, None] >= low) & (rows[:, None] < high)
    row, edge = np.nonzero(crosses)
    dy = y1[edge] - y[edge]
    along = (rows[row] - y[edge]) * (x1[edge] - x[edge])
    at = x[edge] + np.floor_divide(along, dy)
    # First subpixel whose centre lies right of the crossing.
    first = np.floor_divide(at - UNIT // 2, UNIT) + 1 - left
    width = right - left
    toggles = np.zeros((bottom - top, width + 1), dtype=np.uint8)
    np.add.at(toggles, (row, np.clip(first, 0, width)), 1)
    return Patch(top, left, (np.add.accumulate(toggles[:, :-1], axis=1, dtype=np.uint8) & 1) == 1)
