"""Boxes as masks, and masks as boxes."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the original image; x1 and y1 are exclusive."""


def box_mask(box: Box, width: int, height: int) -> Bool[np.ndarray, "height width"]:
    """The pixels of an image whose centre lies in `box`; none if the box is outside."""
    x0, x1 = (min(max(math.ceil(x - 0.5), 0), width) for x in (box[0], box[2]))
    y0, y1 = (min(max(math.ceil(y - 0.5), 0), height) for y in (box[1], box[3]))
    mask = np.zeros((height, width), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def outer_box(mask: Bool[np.ndarray, "height width"]) -> Box:
    """The smallest box around a nonempty mask."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(cols[0]), float(rows[0]), float(cols[-1] + 1), float(rows[-1] + 1)


def cut_box(box: Box, width: int, height: int) -> Box:
    """The part of `box` that lies in the image."""
    x0, y0, x1, y1 = box
    return max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))


def beyond(box: Box, width: int, height: int) -> float:
    """Pixels by which a box extends beyond its image, on its worst side; 0 if it is inside."""
    return max(-box[0], -box[1], box[2] - width, box[3] - height, 0.0)


def slack(width: int, height: int) -> float:
    """Pixels by which a box may extend beyond the image; it is then clipped.

    In published data boxes do so by a pixel or two, because they were rounded or drawn on a smaller
    copy. One that extends further belongs to another image, or has another meaning.
    """
    return max(1.5, 0.01 * max(width, height))
