"""Drawn outlines of objects in an image of a size that 24 patches do not divide."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retinoscope.data import Object, decode_segmentation
from retinoscope.models import Layout

SIZE = (640, 427)
"""Width and height in pixels: COCO's most frequent size but one."""


def outlines(
    n: int, seed: int, radius: tuple[float, float] = (12, 60), at_edge: bool = False
) -> list[Object]:
    """Star-shaped polygons in the centre square of `SIZE`, as COCO's annotators draw them.

    Args:
        radius: smallest and largest, in pixels.
        at_edge: within the last 30 pixels above the lower edge.
    """
    rng = np.random.default_rng(seed)
    width, height = SIZE
    left = (width - height) // 2
    found = []
    for _ in range(n):
        size = rng.uniform(*radius)
        low = height - 30 if at_edge else 60
        centre = rng.uniform(
            (left + 60, low), (left + height - 60, height - (8 if at_edge else 60))
        )
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(8, 24)))
        reach = size * rng.uniform(0.7, 1.3, len(angles))
        points = centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        if at_edge:
            points[:, 1] = centre[1] + (points[:, 1] - centre[1]) * 0.1
        flat = np.round(np.clip(points, 0, SIZE), 2).ravel().tolist()
        mask = decode_segmentation([flat], height, width)
        found.append(Object("thing", mask, (0, 0, 1, 1), polygons=(tuple(flat),)))
    return found


def shoelace(obj: Object) -> float:
    """The area that a polygon encloses, which COCO's field gives."""
    x, y = np.asarray(obj.polygons[0]).reshape(-1, 2).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


@dataclass(frozen=True)
class Layout24:
    """24 x 24 tokens over the centre square of an image, as in LLaVA-1.5."""

    size: tuple[int, int]

    @cached_property
    def layout(self) -> Layout:
        side = min(self.size)
        rows, columns = (axis.ravel() for axis in np.mgrid[:24, :24])
        corner = np.array([(one - side) / 2 for one in self.size] * 2)
        boxes = np.stack([columns, rows, columns + 1, rows + 1], axis=1) * side / 24 + corner
        return Layout(self.size, boxes, rows, columns, rows * 0, (24, 24))
