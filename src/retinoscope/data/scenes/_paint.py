"""Rasterises each object by itself in sub-pixels, before the scene is composed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from ._kinds import NEUTRAL_RGB, PALE_RGB, RGB, shape_of
from ._raster import HALF_COVER, SUB, SUPER, UNITS, fill, pool, spread
from ._shapes import UNIT
from ._world import FINE, SIZE, SceneItem

_TURN = 1 << 14
_SIN = [math.floor(math.sin(math.radians(angle)) * _TURN + 0.5) for angle in range(-25, 116)]
_OUTLINE = 100


def _sin(angle: int) -> int:
    return _SIN[angle + 25]


@dataclass(frozen=True)
class Painted:
    """One object on its own window of the image.

    `cells` holds 1 + patch index for each sub-pixel, plus 100 on the outline, 0 outside. `cover`
    counts the sub-pixels of each pixel that the object fills.
    """

    item: SceneItem
    x: int
    y: int
    cells: UInt8[np.ndarray, "fine_height fine_width"]
    cover: UInt16[np.ndarray, "height width"]

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the window covers."""
        height, width = self.cover.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)

    @property
    def mask(self) -> Bool[np.ndarray, "height width"]:
        """The window's pixels that the object fills at least half."""
        return self.cover >= HALF_COVER


def paint(item: SceneItem) -> Painted:
    """Rasterises one object."""
    shape = shape_of(item.kind)
    c, s = _sin(90 - abs(item.angle)), _sin(item.angle)
    # A layout unit is 1/16 pixel, a coordinate unit 1/48: a third of it.
    radius = item.radius * (UNITS // FINE)
    across = item.stretch[0] * radius * (-1 if item.flip else 1)
    along = item.stretch[1] * radius
    matrix = np.array([[across * c, across * s], [-along * s, along * c]], dtype=np.int64)
    scale = UNIT * _TURN * 256
    points = (shape.points @ matrix + scale // 2) // scale
    points += np.array([item.x, item.y]) * (UNITS // FINE)
    x0, y0 = (int(low) // UNITS - 1 for low in points.min(0))
    x1, y1 = (int(high) // UNITS + 2 for high in points.max(0))
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, SIZE), min(y1, SIZE)
    points -= np.array([x0, y0]) * UNITS
    height, width = (y1 - y0) * SUPER, (x1 - x0) * SUPER
    cells = np.zeros((height, width), dtype=np.uint8)
    for number, rings in enumerate(shape.rings, start=1):
        ring_points = [points[ring] for ring in rings]
        ends = np.concatenate(ring_points) if len(ring_points) > 1 else ring_points[0]
        left = max(0, int(ends[:, 0].min()) // SUB)
        right = min(width, int(ends[:, 0].max()) // SUB + 1)
        shifted = [ring - np.array([left * SUB, 0]) for ring in ring_points]
        inside, top = fill(shifted, height, right - left)
        cells[top : top + len(inside), left:right][inside] = number
    wide = spread(spread(cells))
    edge = (cells == 0) & (wide > 0)
    cells[edge] = wide[edge] + _OUTLINE
    return Painted(item, x0, y0, cells, pool(cells > 0))


def palette(item: SceneItem) -> UInt8[np.ndarray, "numbers 3"]:
    """The colour of each number in `Painted.cells`."""
    main = np.clip(RGB[item.color] + np.array(item.tint), 0, 255)
    tones = np.array(
        [
            main,
            main * 70 // 100,
            (main * 70 + 255 * 30) // 100,
            NEUTRAL_RGB,
            PALE_RGB,
        ]
    )
    of_patch = tones[list(shape_of(item.kind).tones)]
    colors = np.zeros((_OUTLINE * 2, 3), dtype=np.uint8)
    colors[1 : 1 + len(of_patch)] = of_patch
    colors[1 + _OUTLINE : 1 + _OUTLINE + len(of_patch)] = main * 30 // 100
    return colors


def part_masks(painted: Painted) -> list[tuple[str, Bool[np.ndarray, "height width"]]]:
    """Each part's pixels on the window: a pixel goes to the part that fills most of it."""
    shape = shape_of(painted.item.kind)
    owners = np.full(_OUTLINE * 2, 255, dtype=np.uint8)
    owners[1 : 1 + len(shape.owners)] = shape.owners
    owners[1 + _OUTLINE : 1 + _OUTLINE + len(shape.owners)] = shape.owners
    parts = owners[painted.cells]
    counts = np.stack([pool(parts == part) for part in range(len(shape.parts))])
    winner = np.where(painted.mask, counts.argmax(0), 255)
    return [(name, winner == part) for part, name in enumerate(shape.parts)]


def covered_shares(items: Sequence[SceneItem]) -> list[float]:
    """The share of each item's pixels that later items cover."""
    covered = np.zeros((SIZE, SIZE), dtype=bool)
    shares = []
    for painted in map(paint, reversed(items)):
        rows, cols = painted.window
        mask = painted.mask
        shares.append(float((covered[rows, cols] & mask).sum()) / max(1, int(mask.sum())))
        covered[rows, cols] |= mask
    return shares[::-1]
