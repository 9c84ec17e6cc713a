"""Natural kinds: apple, bird, fish, flower, leaf, moon, mushroom, star, tree."""

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
    arc,
    oval,
    poly,
    shape,
    stroke,
)
from ._shapes import turned as turn


def apple() -> Shape:
    return shape(
        *stroke("stem", NEUTRAL, 0.15, (0.0, -0.35), (0.05, -0.75), (0.16, -1.0)),
        oval("body", MAIN, -0.32, 0.2, 0.6, 0.76),
        oval("body", MAIN, 0.32, 0.2, 0.6, 0.76),
        turn(oval("leaf", DARK, 0.45, -0.72, 0.36, 0.16, 12), -25, (0.45, -0.72)),
        turn(oval("shine", LIGHT, -0.5, -0.05, 0.12, 0.25, 10), 20, (-0.5, -0.05)),
    )


def bird() -> Shape:
    return shape(
        *stroke("legs", NEUTRAL, 0.09, (-0.1, 0.5), (-0.15, 0.95), (0.05, 0.95)),
        *stroke("legs", NEUTRAL, 0.09, (0.2, 0.5), (0.2, 0.95), (0.4, 0.95)),
        poly("tail", DARK, (-0.4, 0.05), (-1.1, -0.35), (-1.15, 0.1), (-0.45, 0.4)),
        poly("head", NEUTRAL, (0.7, -0.62), (1.12, -0.4), (0.7, -0.28)),
        oval("body", MAIN, 0.0, 0.2, 0.66, 0.42),
        oval("head", MAIN, 0.48, -0.4, 0.34),
        poly("wing", DARK, (0.25, 0.05), (-0.1, 0.4), (-0.65, 0.2), (-0.3, 0.0)),
        oval("head", NEUTRAL, 0.56, -0.46, 0.09, n=8),
    )


def fish() -> Shape:
    return shape(
        poly("tail", MAIN, (-0.45, 0.0), (-1.0, -0.5), (-0.86, 0.0), (-1.0, 0.5)),
        poly("fins", DARK, (-0.2, -0.3), (-0.15, -0.68), (0.4, -0.4)),
        poly("fins", DARK, (-0.1, 0.3), (-0.15, 0.62), (0.25, 0.38)),
        oval("body", MAIN, 0.2, 0.0, 0.8, 0.48, 24),
        *stroke("body", DARK, 0.07, (0.45, -0.4), (0.36, 0.0), (0.45, 0.4)),
        oval("eye", NEUTRAL, 0.68, -0.12, 0.11, n=10),
    )


def flower() -> Shape:
    petals = [
        oval("petals", MAIN, 0.42 * math.cos(a), -0.4 + 0.42 * math.sin(a), 0.28, n=14)
        for a in (math.radians(90 + 60 * i) for i in range(6))
    ]
    return shape(
        *stroke("stem", DARK, 0.13, (0.0, -0.2), (0.06, 0.5), (0.0, 1.1)),
        turn(oval("leaves", DARK, 0.35, 0.68, 0.34, 0.15, 12), -30, (0.35, 0.68)),
        turn(oval("leaves", DARK, -0.3, 0.85, 0.34, 0.15, 12), 30, (-0.3, 0.85)),
        *petals,
        oval("heart", NEUTRAL, 0.0, -0.4, 0.22, n=14),
    )


def leaf() -> Shape:
    right = arc(-0.55, -0.15, 1.1, 1.1, -52, 52, 11)
    left = arc(0.55, -0.15, 1.1, 1.1, 128, 232, 11)
    veins: list[ShapeArea] = []
    for y in (-0.45, -0.1, 0.25):
        veins += stroke("veins", DARK, 0.06, (-0.34, y - 0.2), (0.0, y + 0.1), (0.34, y - 0.2))
    return shape(
        *stroke("stalk", DARK, 0.13, (0.0, 0.5), (0.0, 0.85), (0.12, 1.2)),
        poly("blade", MAIN, *right, *left),
        *stroke("veins", DARK, 0.08, (0.0, -0.85), (0.0, 0.65)),
        *veins,
    )


def moon() -> Shape:
    outer = arc(0.0, 0.0, 1.0, 1.0, 50, 310, 24)
    inner = arc(0.45, 0.0, 0.79, 0.79, 285, 75, 18)
    return shape(
        poly("crescent", MAIN, *outer, *inner),
        oval("craters", DARK, -0.62, -0.3, 0.13, n=10),
        oval("craters", DARK, -0.68, 0.2, 0.09, n=8),
        oval("craters", DARK, -0.3, 0.7, 0.12, n=10),
    )


def mushroom() -> Shape:
    cap = arc(0.0, 0.1, 0.95, 0.98, 180, 360, 18)
    return shape(
        poly("stem", PALE, (-0.24, 0.0), (0.24, 0.0), (0.32, 0.9), (-0.32, 0.9)),
        poly("cap", MAIN, *cap, (0.7, 0.28), (-0.7, 0.28)),
        oval("spots", LIGHT, -0.42, -0.2, 0.18, 0.15, 10),
        oval("spots", LIGHT, 0.12, -0.52, 0.2, 0.16, 10),
        oval("spots", LIGHT, 0.5, -0.08, 0.16, 0.14, 10),
    )


def star() -> Shape:
    tips = [math.radians(-90 + 72 * i) for i in range(5)]
    dents = [angle + math.radians(36) for angle in tips]
    outer = [(math.cos(a), math.sin(a)) for a in tips]
    inner = [(0.43 * math.cos(a), 0.43 * math.sin(a)) for a in dents]
    outline = [point for pair in zip(outer, inner, strict=True) for point in pair]
    facets = [poly("facets", DARK, (0, 0), o, i) for o, i in zip(outer, inner, strict=True)]
    return shape(poly("body", MAIN, *outline), *facets)


def tree() -> Shape:
    return shape(
        poly("trunk", NEUTRAL, (-0.16, 0.5), (0.16, 0.5), (0.2, 1.0), (-0.2, 1.0)),
        poly("crown", MAIN, (0.0, -0.2), (0.8, 0.6), (-0.8, 0.6)),
        poly("shade", DARK, (-0.5, 0.22), (0.5, 0.22), (0.38, 0.1), (-0.38, 0.1)),
        poly("crown", MAIN, (0.0, -0.6), (0.62, 0.14), (-0.62, 0.14)),
        poly("shade", DARK, (-0.36, -0.2), (0.36, -0.2), (0.26, -0.32), (-0.26, -0.32)),
        poly("crown", MAIN, (0.0, -1.0), (0.44, -0.28), (-0.44, -0.28)),
    )
