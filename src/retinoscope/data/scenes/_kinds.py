"""What the drawn world contains: every kind of object from its parts, the colours, the sign words."""

from __future__ import annotations

from ._shapes import Shape, arc_band, ellipse, polygon, rectangle, star, stroke

DRAWINGS: dict[str, tuple[Shape, ...]] = {
    "apple": (
        ellipse("body", "main", -0.36, 0.18, 0.56, 0.72),
        ellipse("body", "main", 0.36, 0.18, 0.56, 0.72),
        stroke("stem", "ink", 0, -0.4, 0.1, -0.95, 0.15),
        ellipse("leaf", "dark", 0.42, -0.72, 0.34, 0.17),
    ),
    "bird": (
        polygon("tail", "dark", (-0.5, 0.1), (-1, -0.25), (-0.95, 0.35)),
        ellipse("body", "main", -0.05, 0.15, 0.62, 0.45),
        ellipse("head", "main", 0.55, -0.35, 0.32, 0.32),
        polygon("beak", "ink", (0.82, -0.5), (1.15, -0.32), (0.82, -0.2)),
        polygon("wing", "dark", (-0.4, 0.0), (0.3, -0.05), (-0.15, 0.45)),
        ellipse("eye", "ink", 0.6, -0.42, 0.08, 0.08, n=8),
        stroke("legs", "ink", -0.1, 0.55, -0.1, 0.95, 0.1),
        stroke("legs", "ink", 0.15, 0.55, 0.15, 0.95, 0.1),
    ),
    "boat": (
        stroke("mast", "ink", 0, -1, 0, 0.4, 0.12),
        polygon("sail", "light", (0.1, -0.95), (0.85, 0.22), (0.1, 0.22)),
        polygon("sail", "main", (-0.1, -0.75), (-0.7, 0.22), (-0.1, 0.22)),
        polygon("hull", "main", (-1, 0.35), (1, 0.35), (0.65, 0.9), (-0.65, 0.9)),
    ),
    "book": (
        polygon("cover", "main", (-1, -0.55), (0, -0.35), (1, -0.55), (1, 0.6), (0, 0.8), (-1, 0.6)),
        polygon("pages", "paper", (-0.86, -0.4), (-0.06, -0.22), (-0.06, 0.6), (-0.86, 0.45)),
        polygon("pages", "paper", (0.86, -0.4), (0.06, -0.22), (0.06, 0.6), (0.86, 0.45)),
        stroke("lines", "dark", -0.72, -0.12, -0.2, -0.02, 0.1),
        stroke("lines", "dark", -0.72, 0.18, -0.2, 0.28, 0.1),
        stroke("lines", "dark", 0.72, -0.12, 0.2, -0.02, 0.1),
        stroke("lines", "dark", 0.72, 0.18, 0.2, 0.28, 0.1),
    ),
    "bottle": (
        rectangle("cap", "ink", -0.18, -1, 0.18, -0.78),
        rectangle("neck", "main", -0.16, -0.8, 0.16, -0.3),
        polygon("body", "main", (-0.16, -0.4), (0.16, -0.4), (0.42, -0.05), (0.42, 1), (-0.42, 1),
                (-0.42, -0.05)),
        rectangle("label", "paper", -0.42, 0.2, 0.42, 0.62),
    ),
    "car": (
        polygon("cabin", "main", (-0.55, -0.02), (-0.35, -0.5), (0.35, -0.5), (0.62, -0.02)),
        polygon("window", "paper", (-0.38, -0.06), (-0.24, -0.38), (-0.02, -0.38), (-0.02, -0.06)),
        polygon("window", "paper", (0.08, -0.06), (0.08, -0.38), (0.28, -0.38), (0.44, -0.06)),
        polygon("body", "main", (-1, 0), (0.9, -0.05), (1.02, 0.15), (1.02, 0.42), (-1, 0.42)),
        ellipse("wheels", "ink", -0.52, 0.45, 0.26, 0.26, n=14),
        ellipse("wheels", "ink", 0.54, 0.45, 0.26, 0.26, n=14),
    ),
    "chair": (
        rectangle("back", "main", -0.62, -1, -0.38, 0.2),
        rectangle("seat", "main", -0.62, 0.02, 0.62, 0.26),
        rectangle("legs", "dark", -0.62, 0.26, -0.42, 1),
        rectangle("legs", "dark", 0.42, 0.26, 0.62, 1),
    ),
    "clock": (
        ellipse("rim", "main", 0, 0, 0.92, 0.92, n=26),
        ellipse("face", "paper", 0, 0, 0.64, 0.64, n=22),
        stroke("hands", "ink", 0, 0.06, 0, -0.52, 0.14),
        stroke("hands", "ink", -0.05, 0, 0.4, 0.12, 0.14),
    ),
    "cup": (
        arc_band("handle", "dark", 0.5, 0, 0.48, 0.26, -95, 95),
        polygon("body", "main", (-0.78, -0.65), (0.6, -0.65), (0.46, 0.75), (-0.64, 0.75)),
        ellipse("rim", "light", -0.09, -0.65, 0.69, 0.16),
    ),
    "fish": (
        polygon("tail", "dark", (-0.5, 0), (-1.05, -0.5), (-0.9, 0), (-1.05, 0.5)),
        ellipse("body", "main", 0.15, 0, 0.8, 0.46),
        polygon("fin", "dark", (-0.15, -0.4), (0.35, -0.42), (0.0, -0.78)),
        ellipse("eye", "paper", 0.6, -0.1, 0.15, 0.15, n=12),
        ellipse("eye", "ink", 0.62, -0.1, 0.08, 0.08, n=8),
    ),
    "flower": (
        stroke("stem", "ink", 0, 0.1, 0, 1.05, 0.12),
        *(ellipse("petals", "main", x, y - 0.3, 0.33, 0.33, n=14)
          for x, y in ((0, -0.45), (0.43, -0.14), (0.27, 0.36), (-0.27, 0.36), (-0.43, -0.14))),
        ellipse("centre", "paper", 0, -0.3, 0.24, 0.24, n=14),
    ),
    "hat": (
        ellipse("brim", "main", 0, 0.5, 1.02, 0.24),
        polygon("crown", "main", (-0.58, 0.5), (-0.46, -0.6), (0.46, -0.6), (0.58, 0.5)),
        polygon("band", "ink", (-0.58, 0.42), (-0.55, 0.16), (0.55, 0.16), (0.58, 0.42)),
    ),
    "house": (
        rectangle("wall", "light", -0.72, -0.15, 0.72, 0.9),
        polygon("roof", "main", (-1, -0.1), (0, -1), (1, -0.1)),
        rectangle("door", "main", -0.16, 0.3, 0.2, 0.9),
        rectangle("window", "ink", -0.56, 0.12, -0.28, 0.42),
        rectangle("window", "ink", 0.34, 0.12, 0.6, 0.42),
    ),
    "key": (
        arc_band("bow", "main", -0.55, 0, 0.45, 0.2, 0, 360),
        rectangle("shaft", "main", -0.15, -0.11, 1, 0.11),
        rectangle("teeth", "main", 0.52, 0.1, 0.68, 0.42),
        rectangle("teeth", "main", 0.82, 0.1, 1, 0.5),
    ),
    "ladder": (
        rectangle("rails", "main", -0.5, -1, -0.3, 1),
        rectangle("rails", "main", 0.3, -1, 0.5, 1),
        *(rectangle("rungs", "dark", -0.3, y, 0.3, y + 0.16) for y in (-0.75, -0.3, 0.15, 0.6)),
    ),
    "lamp": (
        stroke("pole", "ink", 0, -0.1, 0, 0.8, 0.13),
        polygon("shade", "main", (-0.36, -0.9), (0.36, -0.9), (0.76, 0), (-0.76, 0)),
        ellipse("foot", "dark", 0, 0.85, 0.5, 0.16),
    ),
    "leaf": (
        polygon("blade", "main", (-0.85, 0.15), (-0.55, -0.4), (0.05, -0.62), (0.95, -0.5),
                (0.75, 0.2), (0.25, 0.6), (-0.4, 0.62)),
        stroke("vein", "light", -0.8, 0.3, 0.75, -0.36, 0.1),
        stroke("vein", "light", -0.1, 0.0, -0.1, -0.42, 0.08),
        stroke("vein", "light", 0.1, -0.08, 0.42, 0.32, 0.08),
        stroke("stalk", "dark", -0.75, 0.28, -1.1, 0.5, 0.12),
    ),
    "moon": (
        polygon("crescent", "main",
                *ellipse("", "main", 0, 0, 0.95, 0.95, 50, 310, 18).points,
                *ellipse("", "main", 0.42, 0, 0.75, 0.75, 290, 70, 14).points),
        ellipse("crater", "dark", -0.62, -0.1, 0.12, 0.12, n=10),
        ellipse("crater", "dark", -0.42, 0.45, 0.1, 0.1, n=10),
    ),
    "mushroom": (
        polygon("stalk", "paper", (-0.26, -0.05), (0.26, -0.05), (0.36, 0.95), (-0.36, 0.95)),
        ellipse("cap", "main", 0, 0.05, 0.95, 0.9, 180, 360),
        ellipse("spots", "paper", -0.4, -0.3, 0.16, 0.14, n=12),
        ellipse("spots", "paper", 0.15, -0.5, 0.16, 0.14, n=12),
        ellipse("spots", "paper", 0.52, -0.18, 0.14, 0.12, n=12),
    ),
    "ring": (
        arc_band("band", "main", 0, 0.25, 0.72, 0.48, 0, 360),
        polygon("stone", "light", (-0.38, -0.72), (-0.2, -1), (0.2, -1), (0.38, -0.72), (0, -0.35)),
    ),
    "star": (star("points", "main", 0, 0.05, 1, 0.42, 5), star("heart", "light", 0, 0.05, 0.4, 0.17, 5)),
    "table": (
        rectangle("top", "main", -1, -0.5, 1, -0.22),
        rectangle("legs", "dark", -0.85, -0.22, -0.65, 0.7),
        rectangle("legs", "dark", 0.65, -0.22, 0.85, 0.7),
        rectangle("drawer", "dark", -0.3, -0.22, 0.3, 0.02),
    ),
    "tree": (
        rectangle("trunk", "ink", -0.14, 0.5, 0.14, 1),
        polygon("crown", "main", (0, -1.05), (0.5, -0.4), (-0.5, -0.4)),
        polygon("crown", "main", (0, -0.65), (0.66, 0.1), (-0.66, 0.1)),
        polygon("crown", "main", (0, -0.2), (0.82, 0.6), (-0.82, 0.6)),
    ),
    "umbrella": (
        stroke("pole", "ink", 0, -0.1, 0, 0.85, 0.11),
        arc_band("handle", "ink", 0.2, 0.8, 0.26, 0.14, 0, 180),
        ellipse("canopy", "main", 0, 0.05, 1, 0.95, 180, 360),
        polygon("panel", "dark", (0, -0.9), (0.34, 0.05), (-0.34, 0.05)),
    ),
}  # fmt: skip
"""Kind -> its shapes, from back to front."""

KINDS = tuple(DRAWINGS)

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (205, 35, 40),
    "orange": (245, 130, 20),
    "yellow": (240, 215, 40),
    "green": (45, 150, 55),
    "blue": (40, 85, 205),
    "purple": (140, 50, 160),
    "brown": (120, 72, 35),
    "white": (240, 240, 238),
}
COLORS = tuple(PALETTE)

SIGN_WORDS = ("stop", "open", "shop", "exit", "cafe", "taxi", "park", "bank")
