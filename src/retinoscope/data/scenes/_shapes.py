"""Polygons in an object's own frame: x to the right, y down, both within about -1..1."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Points = tuple[tuple[float, float], ...]
Shade = Literal["main", "dark", "light", "ink", "paper"]
"""The object's colour, a darker or lighter tone of it, a neutral near-black or near-white."""


class Shape(NamedTuple):
    """One polygon of a part; later shapes lie over earlier ones."""

    part: str
    shade: Shade
    points: Points


def polygon(part: str, shade: Shade, *points: tuple[float, float]) -> Shape:
    return Shape(part, shade, points)


def rectangle(part: str, shade: Shade, x0: float, y0: float, x1: float, y1: float) -> Shape:
    return Shape(part, shade, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def ellipse(
    part: str,
    shade: Shade,
    x: float,
    y: float,
    rx: float,
    ry: float,
    start: float = 0,
    stop: float = 360,
    n: int = 20,
) -> Shape:
    """An ellipse, or the piece of it from `start` to `stop` degrees (clockwise from the right)."""
    count = n if stop - start < 360 else n - 1
    angles = (math.radians(start + (stop - start) * i / n) for i in range(count + 1))
    return Shape(part, shade, tuple((x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles))


def stroke(
    part: str, shade: Shade, x0: float, y0: float, x1: float, y1: float, width: float
) -> Shape:
    length = math.hypot(x1 - x0, y1 - y0)
    dx, dy = (y1 - y0) / length * width / 2, (x0 - x1) / length * width / 2
    corners = ((x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy))
    return Shape(part, shade, corners)


def star(part: str, shade: Shade, x: float, y: float, outer: float, inner: float, n: int) -> Shape:
    points = []
    for i in range(2 * n):
        radius = outer if i % 2 == 0 else inner
        angle = math.pi * i / n - math.pi / 2
        points.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    return Shape(part, shade, tuple(points))


def arc_band(
    part: str,
    shade: Shade,
    x: float,
    y: float,
    outer: float,
    inner: float,
    start: float,
    stop: float,
) -> Shape:
    """A piece of a ring between two radii."""
    there = ellipse(part, shade, x, y, outer, outer, start, stop, 14).points
    back = ellipse(part, shade, x, y, inner, inner, start, stop, 14).points
    return Shape(part, shade, there + back[::-1])
