"""Eight optional kinds, half of them with names of several words or pieces."""

from __future__ import annotations

from ._shapes import (
    DARK,
    LIGHT,
    MAIN,
    NEUTRAL,
    PALE,
    Shape,
    annulus,
    arc,
    box,
    mirrored,
    oval,
    poly,
    shape,
    stroke,
    turned,
)


def anchor() -> Shape:
    left = poly("fluke", DARK, (-1.0, 0.45), (-0.86, -0.05), (-0.52, 0.3))
    outer = arc(0, 0.1, 0.9, 0.85, 15, 165, 16)
    inner = arc(0, 0.1, 0.68, 0.6, 165, 15, 16)
    return shape(
        annulus("ring", DARK, 0.0, -0.82, (0.24, 0.24), (0.11, 0.11)),
        poly("arms", MAIN, *outer, *inner),
        box("stock", MAIN, -0.5, -0.5, 0.5, -0.3),
        box("shank", MAIN, -0.12, -0.62, 0.12, 0.9),
        left,
        mirrored(left),
    )  # fmt: skip


def butterfly() -> Shape:
    upper = turned(oval("wings", MAIN, -0.52, -0.32, 0.5, 0.42), 30)
    lower = turned(oval("wings", DARK, -0.42, 0.42, 0.38, 0.34), -20)
    spot = turned(oval("spots", LIGHT, -0.55, -0.34, 0.2, 0.16), 30)
    feeler = stroke("feelers", NEUTRAL, 0.07, (-0.05, -0.5), (-0.28, -0.98))
    return shape(
        *(patch for half in (lower, upper, spot) for patch in (half, mirrored(half))),
        *feeler,
        *map(mirrored, feeler),
        oval("body", NEUTRAL, 0.0, 0.05, 0.1, 0.62),
    )


def cactus() -> Shape:
    return shape(
        *stroke("arms", MAIN, 0.26, (-0.62, -0.3), (-0.62, 0.2)),
        *stroke("arms", MAIN, 0.26, (-0.74, 0.12), (0.0, 0.12)),
        *stroke("arms", MAIN, 0.26, (0.62, -0.6), (0.62, -0.05)),
        *stroke("arms", MAIN, 0.26, (0.74, -0.12), (0.0, -0.12)),
        box("trunk", MAIN, -0.22, -0.85, 0.22, 0.72),
        oval("trunk", MAIN, 0.0, -0.85, 0.22, 0.18),
        *stroke("ribs", DARK, 0.06, (-0.07, -0.85), (-0.07, 0.7)),
        *stroke("ribs", DARK, 0.06, (0.09, -0.85), (0.09, 0.7)),
        poly("pot", NEUTRAL, (-0.42, 0.66), (0.42, 0.66), (0.32, 1.0), (-0.32, 1.0)),
    )


def rocket() -> Shape:
    fin = poly("fins", DARK, (-0.3, 0.25), (-0.66, 0.85), (-0.26, 0.7))
    return shape(
        poly("flame", PALE, (-0.18, 0.7), (0.18, 0.7), (0.0, 1.05)),
        fin,
        mirrored(fin),
        poly("body", MAIN, *arc(0.0, 0.0, 0.34, 1.0, 180, 360, 16), (0.3, 0.72), (-0.3, 0.72)),
        poly("nose", DARK, *arc(0.0, 0.0, 0.34, 1.0, 235, 305, 8)),
        oval("window", NEUTRAL, 0.0, -0.2, 0.17),
        oval("window", LIGHT, 0.0, -0.2, 0.1),
    )


def ice_cream() -> Shape:
    return shape(
        poly("cone", NEUTRAL, (-0.42, 0.0), (0.42, 0.0), (0.0, 1.0)),
        *stroke("cone", PALE, 0.05, (-0.24, 0.08), (0.12, 0.7)),
        *stroke("cone", PALE, 0.05, (0.24, 0.08), (-0.12, 0.7)),
        oval("scoop", DARK, 0.0, -0.08, 0.52, 0.24),
        oval("scoop", MAIN, 0.0, -0.36, 0.46, 0.44),
        oval("shine", LIGHT, -0.16, -0.5, 0.12),
    )


def snowman() -> Shape:
    return shape(
        *stroke("arms", NEUTRAL, 0.07, (-0.3, 0.0), (-0.8, -0.24)),
        *stroke("arms", NEUTRAL, 0.07, (0.3, 0.0), (0.8, -0.24)),
        oval("body", MAIN, 0.0, 0.56, 0.48, 0.44),
        oval("chest", MAIN, 0.0, -0.02, 0.35, 0.32),
        oval("head", MAIN, 0.0, -0.5, 0.26),
        box("hat", NEUTRAL, -0.34, -0.74, 0.34, -0.64),
        box("hat", NEUTRAL, -0.2, -1.0, 0.2, -0.66),
        oval("eyes", NEUTRAL, -0.1, -0.54, 0.045),
        oval("eyes", NEUTRAL, 0.1, -0.54, 0.045),
        oval("buttons", NEUTRAL, 0.0, -0.06, 0.055),
        oval("buttons", NEUTRAL, 0.0, 0.42, 0.055),
        oval("buttons", NEUTRAL, 0.0, 0.66, 0.055),
    )


def teapot() -> Shape:
    return shape(
        annulus("handle", DARK, 0.72, 0.1, (0.34, 0.4), (0.18, 0.22)),
        poly("spout", MAIN, (-0.5, 0.42), (-1.08, -0.34), (-0.86, -0.4), (-0.4, 0.0)),
        oval("pot", MAIN, 0.0, 0.16, 0.68, 0.54),
        poly("lid", DARK, *arc(0.0, -0.26, 0.42, 0.24, 180, 360, 12)),
        oval("knob", DARK, 0.0, -0.54, 0.11),
        box("foot", DARK, -0.36, 0.62, 0.36, 0.74),
    )


def traffic_light() -> Shape:
    return shape(
        box("pole", NEUTRAL, -0.08, 0.5, 0.08, 1.0),
        box("case", MAIN, -0.36, -1.0, 0.36, 0.56),
        oval("lamps", NEUTRAL, 0.0, -0.72, 0.2),
        oval("lamps", PALE, 0.0, -0.22, 0.2),
        oval("lamps", NEUTRAL, 0.0, 0.28, 0.2),
    )
