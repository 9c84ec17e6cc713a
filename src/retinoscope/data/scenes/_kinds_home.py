"""Man-made kinds, second half: house, key, ladder, lamp, ring, table, umbrella."""

from __future__ import annotations

from ._shapes import (
    DARK,
    LIGHT,
    MAIN,
    NEUTRAL,
    Shape,
    ShapeArea,
    annulus,
    arc,
    box,
    poly,
    shape,
    stroke,
)


def house() -> Shape:
    return shape(
        box("chimney", NEUTRAL, 0.36, -0.8, 0.58, -0.2),
        box("walls", MAIN, -0.72, -0.1, 0.72, 0.85),
        poly("roof", DARK, (-0.95, 0.0), (0.0, -0.9), (0.95, 0.0)),
        box("door", NEUTRAL, -0.5, 0.28, -0.12, 0.85),
        box("window", NEUTRAL, 0.14, 0.22, 0.52, 0.58),
        *stroke("window", MAIN, 0.08, (0.33, 0.2), (0.33, 0.6)),
    )


def key() -> Shape:
    return shape(
        annulus("bow", MAIN, -0.58, 0.0, (0.46, 0.46), (0.2, 0.2)),
        box("shaft", MAIN, -0.16, -0.12, 1.0, 0.12),
        box("teeth", DARK, 0.78, 0.1, 1.0, 0.46),
        box("teeth", DARK, 0.42, 0.1, 0.62, 0.38),
    )


def ladder() -> Shape:
    rungs: list[ShapeArea] = []
    for y in (-0.68, -0.24, 0.2, 0.64):
        rungs += stroke("rungs", DARK, 0.16, (-0.45, y), (0.45, y))
    return shape(
        *rungs,
        poly("rails", MAIN, (-0.5, -1.0), (-0.3, -1.0), (-0.36, 1.0), (-0.58, 1.0)),
        poly("rails", MAIN, (0.5, -1.0), (0.3, -1.0), (0.36, 1.0), (0.58, 1.0)),
    )


def lamp() -> Shape:
    return shape(
        box("pole", NEUTRAL, -0.08, -0.2, 0.08, 0.85),
        poly("shade", MAIN, (-0.34, -1.0), (0.34, -1.0), (0.8, -0.08), (-0.8, -0.08)),
        poly("trim", DARK, (-0.72, -0.25), (0.72, -0.25), (0.8, -0.08), (-0.8, -0.08)),
        poly("base", MAIN, *arc(0.0, 0.98, 0.5, 0.3, 180, 360, 12)),
    )


def ring() -> Shape:
    return shape(
        annulus("band", MAIN, 0.0, 0.32, (0.68, 0.68), (0.44, 0.44), 24),
        poly("setting", NEUTRAL, (-0.26, -0.42), (0.26, -0.42), (0.16, -0.2), (-0.16, -0.2)),
        poly(
            "gem", LIGHT, (-0.42, -0.72), (-0.24, -1.0), (0.24, -1.0), (0.42, -0.72), (0.0, -0.28)
        ),
        poly("gem", DARK, (-0.14, -0.72), (0.14, -0.72), (0.0, -0.28)),
    )


def table() -> Shape:
    return shape(
        box("legs", DARK, -0.56, 0.0, -0.42, 0.6),
        box("legs", DARK, 0.42, 0.0, 0.56, 0.6),
        box("legs", MAIN, -0.94, 0.0, -0.74, 0.95),
        box("legs", MAIN, 0.74, 0.0, 0.94, 0.95),
        poly("top", MAIN, (-0.68, -0.5), (0.68, -0.5), (1.0, -0.08), (-1.0, -0.08)),
        box("edge", DARK, -1.0, -0.1, 1.0, 0.1),
    )


def umbrella() -> Shape:
    rim: list[tuple[float, float]] = []
    for x in (0.66, 0.0, -0.66):
        rim += arc(x, 0.08, 0.33, 0.2, 0, -180, 7)
    return shape(
        *stroke(
            "handle",
            NEUTRAL,
            0.11,
            (0.0, -0.2),
            (0.0, 0.82),
            (0.12, 0.98),
            (0.3, 0.98),
            (0.38, 0.8),
        ),
        *stroke("tip", NEUTRAL, 0.1, (0.0, -1.1), (0.0, -0.8)),
        poly("canopy", MAIN, *arc(0.0, 0.08, 0.99, 1.02, 180, 360, 20), *rim),
        poly(
            "ribs",
            DARK,
            (0.0, -0.94),
            (0.33, 0.04),
            (0.2, -0.08),
            (0.0, -0.12),
            (-0.2, -0.08),
            (-0.33, 0.04),
        ),
    )
