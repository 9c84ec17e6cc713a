"""Man-made kinds, first half: boat, book, bottle, car, chair, clock, cup, hat."""

from __future__ import annotations

import math

from ._shapes import (
    DARK,
    LIGHT,
    MAIN,
    NEUTRAL,
    PALE,
    Shape,
    ShapeArea,
    annulus,
    arc,
    box,
    mirrored,
    oval,
    poly,
    shape,
    stroke,
)


def boat() -> Shape:
    return shape(
        *stroke("mast", NEUTRAL, 0.1, (0.0, -1.0), (0.0, 0.4)),
        poly("hull", MAIN, (-1.0, 0.35), (1.0, 0.35), (0.62, 0.88), (-0.62, 0.88)),
        poly("hull", DARK, (-1.0, 0.35), (1.0, 0.35), (0.92, 0.47), (-0.92, 0.47)),
        poly("sails", MAIN, (0.09, -0.95), (0.09, 0.22), (0.82, 0.22)),
        poly("sails", LIGHT, (-0.09, -0.7), (-0.09, 0.22), (-0.62, 0.22)),
    )


def book() -> Shape:
    page = poly("pages", MAIN, (0.0, -0.45), (0.95, -0.68), (0.95, 0.36), (0.0, 0.6))
    lines: list[ShapeArea] = []
    for y in (-0.28, 0.0, 0.28):
        lines += stroke("lines", NEUTRAL, 0.09, (0.2, y), (0.78, y - 0.14))
    cover = poly("cover", DARK, (0.0, 0.55), (1.05, 0.3), (1.05, 0.48), (0.0, 0.76))
    half = [cover, page, *lines]
    return shape(
        *half,
        *[mirrored(patch) for patch in half],
        *stroke("cover", DARK, 0.1, (0, -0.45), (0, 0.7)),
    )


def bottle() -> Shape:
    return shape(
        poly(
            "body", MAIN, (-0.4, 1.0), (-0.4, -0.1), (-0.16, -0.45), (-0.16, -0.8),
            (0.16, -0.8), (0.16, -0.45), (0.4, -0.1), (0.4, 1.0),
        ),
        box("cap", NEUTRAL, -0.2, -1.0, 0.2, -0.76),
        box("label", LIGHT, -0.4, 0.15, 0.4, 0.65),
        box("label", NEUTRAL, -0.22, 0.34, 0.22, 0.46),
    )  # fmt: skip


def car() -> Shape:
    wheels: list[ShapeArea] = []
    for x in (-0.55, 0.55):
        wheels += [
            oval("wheels", NEUTRAL, x, 0.42, 0.25, n=16),
            oval("wheels", PALE, x, 0.42, 0.11, n=10),
        ]
    return shape(
        poly("cabin", MAIN, (-0.62, -0.02), (-0.4, -0.5), (0.28, -0.5), (0.58, -0.02)),
        poly(
            "body", MAIN, (-1.0, 0.4), (-0.97, 0.02), (-0.6, -0.08), (0.6, -0.08), (0.95, 0.08),
            (1.0, 0.4),
        ),
        poly("windows", NEUTRAL, (-0.46, -0.06), (-0.31, -0.38), (-0.08, -0.38), (-0.08, -0.06)),
        poly("windows", NEUTRAL, (0.04, -0.06), (0.04, -0.38), (0.22, -0.38), (0.4, -0.06)),
        box("body", LIGHT, 0.82, 0.12, 0.97, 0.24),
        *wheels,
    )  # fmt: skip


def chair() -> Shape:
    return shape(
        poly("legs", MAIN, (-0.58, 0.2), (-0.38, 0.2), (-0.42, 1.0), (-0.64, 1.0)),
        poly("legs", MAIN, (0.42, 0.2), (0.62, 0.2), (0.68, 1.0), (0.46, 1.0)),
        *stroke("legs", DARK, 0.1, (-0.5, 0.62), (0.55, 0.62)),
        poly("back", MAIN, (-0.72, -1.0), (-0.46, -1.0), (-0.34, 0.2), (-0.6, 0.2)),
        poly("seat", MAIN, (-0.6, 0.06), (0.68, 0.06), (0.68, 0.3), (-0.58, 0.3)),
        poly("cushion", DARK, (-0.36, -0.1), (0.68, -0.1), (0.68, 0.07), (-0.35, 0.07)),
    )


def clock() -> Shape:
    ticks: list[ShapeArea] = []
    for i in range(4):
        c, s = math.cos(i * math.pi / 2), math.sin(i * math.pi / 2)
        ticks += stroke(
            "hands", NEUTRAL, 0.1, (0.42 * c, 0.1 + 0.42 * s), (0.57 * c, 0.1 + 0.57 * s)
        )
    return shape(
        *stroke("feet", NEUTRAL, 0.16, (-0.4, 0.6), (-0.6, 0.95)),
        *stroke("feet", NEUTRAL, 0.16, (0.4, 0.6), (0.6, 0.95)),
        oval("bells", MAIN, -0.5, -0.62, 0.28, n=14),
        oval("bells", MAIN, 0.5, -0.62, 0.28, n=14),
        oval("rim", DARK, 0.0, 0.1, 0.76, n=24),
        oval("face", MAIN, 0.0, 0.1, 0.64, n=24),
        *ticks,
        *stroke("hands", NEUTRAL, 0.11, (0.0, -0.32), (0.0, 0.12)),
        *stroke("hands", NEUTRAL, 0.11, (-0.04, 0.07), (0.3, 0.27)),
    )


def cup() -> Shape:
    return shape(
        annulus("handle", MAIN, 0.5, 0.02, (0.42, 0.42), (0.22, 0.22), 18),
        poly("body", MAIN, (-0.68, -0.6), (0.52, -0.6), (0.42, 0.72), (-0.58, 0.72)),
        oval("body", MAIN, -0.08, 0.72, 0.5, 0.14, 16),
        oval("rim", LIGHT, -0.08, -0.6, 0.6, 0.18, 18),
        oval("rim", NEUTRAL, -0.08, -0.6, 0.46, 0.1, 16),
    )


def hat() -> Shape:
    top = arc(0.0, -0.62, 0.46, 0.14, 180, 360, 9)
    return shape(
        oval("brim", MAIN, 0.0, 0.42, 1.0, 0.24, 22),
        poly("crown", MAIN, *top, (0.52, 0.42), (-0.52, 0.42)),
        oval("crown", MAIN, 0.0, 0.4, 0.52, 0.13, 14),
        poly("band", NEUTRAL, (-0.5, 0.12), (0.5, 0.12), (0.52, 0.4), (-0.52, 0.4)),
        oval("band", NEUTRAL, 0.0, 0.4, 0.52, 0.12, 14),
    )
