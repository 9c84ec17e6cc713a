"""The ground behind the objects: two muted tones in soft blotches, and clutter without meaning."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int16

from ._draws import Draws
from ._raster import SUB, fill
from ._world import SIZE, Ground

_COARSE, _FINE_STEP = 36, 12
_TINTS: dict[Ground, tuple[int, int, int]] = {"water": (-34, -4, 40), "land": (14, 26, -42)}
_WAVE, _DEEP = 12, 11


def _weights(step: int) -> np.ndarray:
    """(SIZE, SIZE // step + 1) smooth interpolation weights, integers that sum to 256 per row."""
    weights = np.zeros((SIZE, SIZE // step + 1))
    for pixel in range(SIZE):
        cell, inside = divmod(2 * pixel + 1, 2 * step)
        # Smoothstep 3t^2 - 2t^3 in integers, t = inside / (2 * step).
        whole = 2 * step
        eased = 256 * inside * inside * (3 * whole - 2 * inside) // whole**3
        weights[pixel, cell] += 256 - eased
        weights[pixel, cell + 1] += eased
    return weights


_COARSE_WEIGHTS, _FINE_WEIGHTS = _weights(_COARSE), _weights(_FINE_STEP)
_CIRCLE = [
    (
        math.floor(math.cos(i * math.pi / 5) * 256 + 0.5),
        math.floor(math.sin(i * math.pi / 5) * 256 + 0.5),
    )
    for i in range(10)
]


def _field(draws: Draws, weights: np.ndarray) -> np.ndarray:
    """Smooth values in 0..255, exact since the products stay far below 2**53."""
    side = weights.shape[1]
    knots = draws.bytes(side * side).reshape(side, side).astype(np.float64)
    return (weights @ knots @ weights.T).astype(np.int64) >> 16


def background(draws: Draws, ground: Ground | None = None) -> Int16[np.ndarray, "size size 3"]:
    """The ground of one scene, without pixel noise: plain, blue with waves across, or green."""
    plain = _plain(draws)
    if ground is None:
        return plain
    tinted = plain + np.array(_TINTS[ground], dtype=np.int16)
    if ground == "water":
        # A triangle wave down the image, in integers.
        rows = (np.arange(SIZE) * 2) % (2 * _WAVE)
        wave = np.abs(rows - _WAVE) * 2 * _DEEP // _WAVE - _DEEP
        tinted = tinted + wave.astype(np.int16)[:, None, None]
    return np.clip(tinted, 0, 255).astype(np.int16)


def _plain(draws: Draws) -> Int16[np.ndarray, "size size 3"]:
    """Two muted tones, and clutter."""
    level = draws.between(92, 176)
    first = [level + draws.between(-12, 12) for _ in range(3)]
    step = draws.between(14, 30) * (1 if draws.below(2) else -1)
    second = [value + step + draws.between(-10, 10) for value in first]
    mix = (3 * _field(draws, _COARSE_WEIGHTS) + _field(draws, _FINE_WEIGHTS)) >> 2
    # One row per mix of the two tones, looked up at every pixel.
    share = np.arange(256)[:, None]
    tones = (np.array(first) * (256 - share) + np.array(second) * share) >> 8
    ground = tones.astype(np.int16)[mix]
    for _ in range(draws.between(3, 7)):
        ring = _line(draws) if draws.below(2) else _blob(draws)
        inside, top = fill([ring], SIZE, SIZE)
        shade = draws.between(9, 20) * (1 if draws.below(2) else -1)
        tint = [shade + draws.between(-5, 5) for _ in range(3)]
        ground[top : top + len(inside)][inside] += tint
    return ground


def _line(draws: Draws) -> np.ndarray:
    """A long thin quadrilateral."""
    limit = SIZE * SUB
    x0, y0, x1, y1 = (draws.below(limit) for _ in range(4))
    width = draws.between(SUB, 3 * SUB)
    # Widened along one axis: no square root, so no rounding that could differ between machines.
    dx, dy = (0, width) if abs(x1 - x0) > abs(y1 - y0) else (width, 0)
    return np.array([(x0, y0), (x1, y1), (x1 + dx, y1 + dy), (x0 + dx, y0 + dy)], dtype=np.int64)


def _blob(draws: Draws) -> np.ndarray:
    """A lumpy disc."""
    x, y = draws.below(SIZE * SUB), draws.below(SIZE * SUB)
    radius = draws.between(4 * SUB, 12 * SUB)
    points = []
    for c, s in _CIRCLE:
        reach = radius * draws.between(60, 120) // 100
        points.append((x + reach * c // 256, y + reach * s // 256))
    return np.array(points, dtype=np.int64)
