"""What stands where in a scene, drawn by lot from its seed alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ._font import render
from ._kinds import COLORS, DRAWINGS, KINDS, SIGN_WORDS
from ._raster import SCALE, UNIT

SIZE = 144
_VERSION = 1
"""Part of every scene's seed: raised whenever the same seed would draw something else."""

_COUNTS = (15, 30, 30, 17, 8)
"""How often a scene has one to five objects, in percent."""
_GAP = 3
_CORNERS = {
    kind: [np.rint(np.array(shape.points) * 1024).astype(np.int64) for shape in shapes]
    for kind, shapes in DRAWINGS.items()
}
"""The drawings' corners in 1/1024: what follows is exact, on every machine the same."""


@dataclass(frozen=True)
class SceneOptions:
    """What the scenes contain.

    Attributes:
        min_objects: at least this many objects, 1 to 5.
        max_objects: at most this many.
        occlusion: objects may cover each other (up to about a third) instead of keeping apart.
        signs: probability of a sign with a word.
    """

    min_objects: int = 1
    max_objects: int = 5
    occlusion: bool = False
    signs: float = 0.15


@dataclass(frozen=True)
class Placed:
    """An object with its place; boxes in pixels, corners in 1/(`SCALE` * `UNIT`) pixels."""

    kind: int
    color: int
    corners: tuple[Int[np.ndarray, "corner 2"], ...]
    box: tuple[float, float, float, float]
    tint: tuple[int, int, int]

    @property
    def center(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True)
class PlacedSign:
    word: int
    box: tuple[int, int, int, int]
    light: bool


@dataclass(frozen=True)
class Layout:
    """A scene before it is drawn. `rng` goes on to draw the background, which no text depends on."""

    objects: tuple[Placed, ...]
    sign: PlacedSign | None
    rng: np.random.Generator


def sample_layout(index: int, seed: int, options: SceneOptions) -> Layout:
    """The layout of scene `index`; it depends on nothing but the arguments."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, _VERSION])))
    sign = _place_sign(rng) if rng.random() < options.signs else None
    low, high = options.min_objects, options.max_objects
    weights = np.array(_COUNTS[low - 1 : high]).cumsum()
    count = low + int(np.searchsorted(weights, rng.integers(weights[-1]), side="right"))
    kinds = rng.permutation(len(KINDS))[:count]
    taken: list[tuple[float, float, float, float]] = [sign.box] if sign else []
    objects: list[Placed] = []
    for kind in kinds:
        placed = _place(rng, int(kind), taken, options, large=count <= 2)
        if placed is not None:
            objects.append(placed)
            taken.append(placed.box)
    return Layout(tuple(objects), sign, rng)


def _place_sign(rng: np.random.Generator) -> PlacedSign:
    word = int(rng.integers(len(SIGN_WORDS)))
    height, width = (extent + 8 for extent in render(SIGN_WORDS[word], 2).shape)
    x = int(rng.integers(2, SIZE - width - 1))
    y = int(rng.integers(2, SIZE - height - 1))
    return PlacedSign(word, (x, y, x + width, y + height), bool(rng.integers(2)))


def _place(
    rng: np.random.Generator,
    kind: int,
    taken: list[tuple[float, float, float, float]],
    options: SceneOptions,
    large: bool,
) -> Placed | None:
    color = int(rng.integers(len(COLORS)))
    tint = tuple(int(shift) for shift in rng.integers(-13, 14, 3))
    # Smaller with every try, so that nearly every object finds a place.
    for attempt in range(60):
        largest = max(17, (30 if large else 27) - attempt // 4)
        radius = int(rng.integers(17 * 4, largest * 4 + 1)) / 4
        angle = math.radians(int(rng.integers(-25, 26)))
        cos, sin = round(math.cos(angle) * 4096) / 4096, round(math.sin(angle) * 4096) / 4096
        flip = 1 - 2 * int(rng.integers(2))
        wide, high = (int(value) / 64 for value in rng.integers(56, 69, 2))
        matrix = radius * np.array(
            [[cos * wide * flip, sin * wide * flip], [-sin * high, cos * high]]
        )
        corners = [points @ matrix * (SCALE * UNIT) / 1024 for points in _CORNERS[KINDS[kind]]]
        every = np.concatenate(corners)
        low, top = every.min(0), every.max(0)
        room = (SIZE - 2) * SCALE * UNIT - (top - low)
        shift = np.floor(rng.random(2) * room) + SCALE * UNIT - low
        whole = tuple(np.floor(points + shift + 0.5).astype(np.int64) for points in corners)
        x0, y0 = (low + shift) / (SCALE * UNIT)
        x1, y1 = (top + shift) / (SCALE * UNIT)
        box = (float(x0), float(y0), float(x1), float(y1))
        if all(_apart(box, other, options.occlusion) for other in taken):
            return Placed(kind, color, whole, box, tint)  # type: ignore[arg-type]
    return None


def _apart(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float], occlusion: bool
) -> bool:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= -_GAP or high <= -_GAP:
        return True
    if not occlusion:
        return False
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(wide, 0) * max(high, 0) <= 0.2 * smaller
