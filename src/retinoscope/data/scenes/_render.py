"""From a layout to pixels, masks and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8

from ._font import render
from ._kinds import COLORS, DRAWINGS, KINDS, PALETTE, SIGN_WORDS
from ._layout import SIZE, Layout
from ._raster import SCALE, UNIT, fill
from ._shapes import Shade

_INK = np.array((42, 40, 44))
_PAPER = np.array((238, 233, 216))
_FULL = SCALE * SCALE
_CELLS = 6


@dataclass(frozen=True)
class Rendered:
    """A drawn scene. `cover[id]` belongs to shape id of the whole scene, in drawing order."""

    image: UInt8[np.ndarray, "height width 3"]
    canvas: UInt8[np.ndarray, "subheight subwidth"]
    """0 where the background is seen, else 1 + number of the visible shape over all objects."""
    first: tuple[int, ...]
    """For each object the id of its first shape; one more entry ends the last object."""


def draw(layout: Layout) -> Rendered:
    """Draw background, objects (in the layout's order, later ones on top) and sign."""
    canvas = np.zeros((SIZE * SCALE, SIZE * SCALE), dtype=np.uint8)
    palette: list[np.ndarray] = [np.zeros(3, dtype=np.int64)]
    first = [1]
    for placed in layout.objects:
        base = np.array(PALETTE[COLORS[placed.color]]) + placed.tint
        for shape, corners in zip(DRAWINGS[KINDS[placed.kind]], placed.corners, strict=True):
            _paint(canvas, corners, len(palette))
            palette.append(_tone(base, shape.shade))
        first.append(len(palette))
    image = _background(layout.rng)
    for placed in layout.objects:
        _blend(image, canvas, np.array(palette), placed.box)
    image += layout.rng.integers(-7, 8, image.shape)
    if layout.sign is not None:
        x0, y0, x1, y1 = layout.sign.box
        board, ink = (_PAPER, _INK) if layout.sign.light else (_INK, _PAPER)
        image[y0:y1, x0:x1] = board
        letters = render(SIGN_WORDS[layout.sign.word], 2)
        image[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4][letters] = ink
    return Rendered(np.clip(image, 0, 255).astype(np.uint8), canvas, tuple(first))


def covered(
    canvas: UInt8[np.ndarray, "subheight subwidth"], ids: Bool[np.ndarray, "256"]
) -> Bool[np.ndarray, "height width"]:
    """Pixels of which more than half shows one of the shapes in the table `ids`."""
    return _pool(ids[canvas].view(np.uint8)) * 2 > _FULL


def _pool(values: np.ndarray) -> np.ndarray:
    rows, cols = values.shape[0] // SCALE, values.shape[1] // SCALE
    blocks = values.reshape(rows, SCALE, cols, SCALE, *values.shape[2:])
    return blocks.sum(axis=(1, 3), dtype=np.uint16)


def _paint(canvas: np.ndarray, corners: Int[np.ndarray, "corner 2"], number: int) -> None:
    filled = fill(corners[:, 0], corners[:, 1], SIZE * SCALE)
    if filled is not None:
        height, width = filled.inside.shape
        region = canvas[filled.top : filled.top + height, filled.left : filled.left + width]
        region[filled.inside] = number


def _tone(base: np.ndarray, shade: Shade) -> np.ndarray:
    match shade:
        case "main":
            return base
        case "dark":
            return base * 5 // 8
        case "light":
            return base + (255 - base) * 3 // 8
        case "ink":
            return _INK
        case "paper":
            return _PAPER


def _blend(
    image: np.ndarray,
    canvas: np.ndarray,
    palette: np.ndarray,
    box: tuple[float, float, float, float],
) -> None:
    """Mix the shapes within `box` over the background, by the share of subpixels each has."""
    x0, y0 = max(0, int(box[0])), max(0, int(box[1]))
    x1, y1 = min(SIZE, int(box[2]) + 2), min(SIZE, int(box[3]) + 2)
    ids = canvas[y0 * SCALE : y1 * SCALE, x0 * SCALE : x1 * SCALE]
    shapes = _pool(np.clip(palette, 0, 255).astype(np.uint8)[ids]).astype(np.int64)
    open_share = _pool((ids == 0).view(np.uint8)).astype(np.int64)[..., None]
    image[y0:y1, x0:x1] = (shapes + open_share * image[y0:y1, x0:x1] + _FULL // 2) // _FULL


def _background(rng: np.random.Generator) -> Int[np.ndarray, "height width 3"]:
    """Two muted tones in soft clouds, with a few faint strokes and blobs that are no object."""
    value = rng.integers(85, 185, 2)
    tones = value[:, None] + rng.integers(-16, 17, (2, 3))
    clouds = _clouds(rng)
    clutter = np.zeros((SIZE, SIZE), dtype=np.int64)
    for _ in range(int(rng.integers(2, 7))):
        _faint_shape(rng, clutter)
    mixed = tones[0] * (255 - clouds)[..., None] + tones[1] * clouds[..., None]
    return mixed // 255 + clutter[..., None]


def _clouds(rng: np.random.Generator) -> Int[np.ndarray, "height width"]:
    coarse = rng.integers(0, 256, (_CELLS + 1, _CELLS + 1))
    step = SIZE // _CELLS
    at = np.arange(SIZE)
    cell, weight = at // step, at % step
    rows = coarse[cell] * (step - weight)[:, None] + coarse[cell + 1] * weight[:, None]
    both = rows[:, cell] * (step - weight) + rows[:, cell + 1] * weight
    return both // (step * step)


def _faint_shape(rng: np.random.Generator, clutter: np.ndarray) -> None:
    contrast = int(rng.integers(8, 19)) * (1 - 2 * int(rng.integers(2)))
    x, y = rng.integers(0, SIZE, 2)
    if rng.integers(2):
        rx, ry = rng.integers(4, 16, 2)
        rows, cols = np.ogrid[:SIZE, :SIZE]
        inside = ((cols - x) * ry) ** 2 + ((rows - y) * rx) ** 2 <= (rx * ry) ** 2
        clutter[inside] += contrast
        return
    along = rng.integers(-50, 51, 2)
    width = int(rng.integers(1, 4))
    # A slanted quad of even width, one pixel being one subpixel of the fill.
    dx, dy = (-width, 0) if abs(along[1]) > abs(along[0]) else (0, -width)
    xs = np.array([x, x + along[0], x + along[0] + dx, x + dx]) * UNIT
    ys = np.array([y, y + along[1], y + along[1] + dy, y + dy]) * UNIT
    filled = fill(xs, ys, SIZE)
    if filled is not None:
        height, width = filled.inside.shape
        region = clutter[filled.top : filled.top + height, filled.left : filled.left + width]
        region[filled.inside] += contrast
