"""Building blocks of the kinds: tones, and polygons in a frame that fits the unit disc."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int

MAIN, DARK, LIGHT, NEUTRAL, PALE = range(5)
"""The object's colour, a darker and a lighter one; dark grey, middle grey."""

UNIT = 1000
"""Length of a shape's radius in its integer coordinates."""

Point = tuple[float, float]
Ring = Sequence[Point]


@dataclass(frozen=True)
class ShapeArea:
    """A filled area of a part: rings under the even-odd rule, x to the right, y down."""

    part: str
    tone: int
    rings: tuple[Ring, ...]


@dataclass(frozen=True)
class Shape:
    """The drawing of a kind. `points` are all rings' vertices, within `UNIT` of the origin."""

    parts: tuple[str, ...]
    tones: tuple[int, ...]
    """Tone of each patch, in painting order."""
    owners: tuple[int, ...]
    """Part index of each patch."""
    points: Int[np.ndarray, "n 2"]
    rings: tuple[tuple[slice, ...], ...]
    """Where each patch's rings lie in `points`."""


def shape(*patches: ShapeArea) -> Shape:
    """Centres the patches' bounding box and scales them into the disc of radius `UNIT`."""
    rings = [np.array(ring, dtype=float) for patch in patches for ring in patch.rings]
    points = np.concatenate(rings)
    points -= (points.min(0) + points.max(0)) / 2
    points *= UNIT / math.sqrt(float((points**2).sum(1).max()))
    bounds = np.cumsum([0, *map(len, rings)]).tolist()
    slices = iter([slice(*pair) for pair in pairwise(bounds)])
    parts = tuple(dict.fromkeys(patch.part for patch in patches))
    return Shape(
        parts=parts,
        tones=tuple(patch.tone for patch in patches),
        owners=tuple(parts.index(patch.part) for patch in patches),
        points=np.floor(points + 0.5).astype(np.int64),
        rings=tuple(tuple(next(slices) for _ in patch.rings) for patch in patches),
    )


def poly(part: str, tone: int, *points: Point) -> ShapeArea:
    """A polygon."""
    return ShapeArea(part, tone, (points,))


def box(part: str, tone: int, x0: float, y0: float, x1: float, y1: float) -> ShapeArea:
    """An upright rectangle."""
    return ShapeArea(part, tone, (((x0, y0), (x1, y0), (x1, y1), (x0, y1)),))


def arc(
    x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360, n: int = 20
) -> list[Point]:
    """`n` points on an ellipse from angle `start` to `stop` in degrees, clockwise on the screen.

    A full turn omits the last point, which is the first.
    """
    steps = n if stop - start >= 360 else n - 1
    angles = [math.radians(start + (stop - start) * step / steps) for step in range(n)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def oval(
    part: str, tone: int, x: float, y: float, rx: float, ry: float | None = None, n: int = 20
) -> ShapeArea:
    """An ellipse, or a circle without `ry`."""
    return ShapeArea(part, tone, (arc(x, y, rx, rx if ry is None else ry, n=n),))


def annulus(
    part: str, tone: int, x: float, y: float, outer: Point, inner: Point, n: int = 22
) -> ShapeArea:
    """The area between two concentric ellipses."""
    return ShapeArea(part, tone, (arc(x, y, *outer, n=n), arc(x, y, *inner, n=n)))


def stroke(part: str, tone: int, width: float, *points: Point) -> list[ShapeArea]:
    """A line through `points`, with one quadrilateral per segment."""
    quads = []
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        dx, dy = (x1 - x0) * width / length / 2, (y1 - y0) * width / length / 2
        quads.append(
            poly(
                part, tone,
                (x0 - dy, y0 + dx), (x1 - dy, y1 + dx), (x1 + dy, y1 - dx), (x0 + dy, y0 - dx),
            )
        )  # fmt: skip
    return quads


def turned(patch: ShapeArea, degrees: float, about: Point = (0, 0)) -> ShapeArea:
    """`patch` turned clockwise on the screen."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    ax, ay = about

    def turn(point: Point) -> Point:
        x, y = point[0] - ax, point[1] - ay
        return ax + c * x - s * y, ay + s * x + c * y

    return ShapeArea(patch.part, patch.tone, tuple([turn(p) for p in ring] for ring in patch.rings))


def mirrored(patch: ShapeArea) -> ShapeArea:
    """`patch` with left and right exchanged."""
    return ShapeArea(
        patch.part, patch.tone, tuple([(-x, y) for x, y in ring] for ring in patch.rings)
    )
