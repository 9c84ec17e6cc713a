"""Rasterisation of polygons in integers only, so that every machine draws the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt8

SUPER = 3
"""Sub-pixels along each side of a pixel."""
SUB = 16
"""Coordinate units along each side of a sub-pixel."""
UNITS = SUPER * SUB
"""Coordinate units along each side of a pixel."""
HALF_COVER = (SUPER * SUPER + 1) // 2
"""Sub-pixels that make at least half a pixel."""


def fill(
    rings: Sequence[Int[np.ndarray, "n 2"]], height: int, width: int
) -> tuple[Bool[np.ndarray, "rows width"], int]:
    """Fills closed rings by the even-odd rule on a (height, width) grid.

    A cell is inside if its centre is. Coordinates (x, y) are integers in `SUB` units per cell and
    may lie outside the grid. Returns the filled rows and the index of the first of them; rows that
    no ring reaches are left out.
    """
    starts = np.concatenate(rings)
    ends = np.concatenate([np.concatenate((ring[1:], ring[:1])) for ring in rings])
    half = SUB // 2
    top = max(0, (int(starts[:, 1].min()) + half - 1) // SUB)
    bottom = min(height, (int(starts[:, 1].max()) + half - 1) // SUB + 1)
    if bottom <= top:
        return np.zeros((0, width), dtype=bool), 0
    flip = starts[:, 1] > ends[:, 1]
    x0, y0 = np.where(flip[:, None], ends, starts).T
    x1, y1 = np.where(flip[:, None], starts, ends).T
    centres = np.arange(top, bottom) * SUB + half
    edge, row = np.nonzero((y0[:, None] <= centres) & (centres < y1[:, None]))
    x0, y0 = x0[edge], y0[edge]
    crossing = x0 + (centres[row] - y0) * (x1[edge] - x0) // (y1[edge] - y0)
    # The first cell whose centre is not left of the crossing.
    column = np.clip((crossing + half - 1) // SUB, 0, width)
    toggles = np.zeros((bottom - top) * (width + 1), dtype=np.uint8)
    np.add.at(toggles, row * (width + 1) + column, np.uint8(1))
    parity = np.cumsum(toggles.reshape(-1, width + 1), axis=1, dtype=np.uint8)
    return (parity[:, :width] & 1).astype(bool), top


def pool(fine: np.ndarray) -> np.ndarray:
    """Sums over `SUPER` x `SUPER` cells: (H * SUPER, W * SUPER, ...) -> (H, W, ...) uint16."""
    rows = fine[0::SUPER].astype(np.uint16)
    for offset in range(1, SUPER):
        rows += fine[offset::SUPER]
    total = rows[:, 0::SUPER].copy()
    for offset in range(1, SUPER):
        total += rows[:, offset::SUPER]
    return total


def spread(cells: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Replaces each cell by the largest of itself and its neighbours."""
    out = cells.copy()
    np.maximum(out[1:], cells[:-1], out=out[1:])
    np.maximum(out[:-1], cells[1:], out=out[:-1])
    across = out.copy()
    np.maximum(out[:, 1:], across[:, :-1], out=out[:, 1:])
    np.maximum(out[:, :-1], across[:, 1:], out=out[:, :-1])
    return out
