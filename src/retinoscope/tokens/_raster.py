"""From tokens to pixels: the token of each pixel, and values of tokens as an image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from ..arguments import checked
from ..errors import InputError

Boxes = Float[np.ndarray, "token 4"]


@checked
def token_map(boxes: Boxes, size: tuple[int, int]) -> Int[np.ndarray, "height width"]:
    """The token whose box holds each pixel's centre; -1 where none does.

    Where boxes overlap (tiles over a thumbnail), the smallest wins.

    Args:
        boxes: (n, 4) x0 y0 x1 y1 in pixels of the image; NaN where a token is unplaced.
        size: width and height of the image.
    """
    width, height = size
    tokens = np.full((height, width), -1, dtype=np.int32)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # NaN sorts to the end; a stable order keeps the later of two equal boxes on top.
    for token in np.argsort(-areas, kind="stable"):
        if np.isnan(areas[token]):
            continue
        # Pixel i has its centre at i + 0.5; a box includes its left edge but not its right one.
        x0, y0, x1, y1 = np.ceil(boxes[token] - 0.5).astype(int).clip(0)
        tokens[y0:y1, x0:x1] = token
    return tokens


@checked
def spread(
    values: Float[np.ndarray, "channel token"],
    boxes: Boxes,
    size: tuple[int, int],
    grid: tuple[int, int] | None = None,
    mode: Literal["nearest", "bilinear"] = "nearest",
) -> Float[np.ndarray, "channel height width"]:
    """Values of tokens over the pixels of the image; NaN in pixels without a token.

    "nearest" gives a pixel the value of its token (see `token_map`). "bilinear" interpolates
    between the centres of the tokens' boxes, constant beyond the outermost; it needs a single grid.

    Args:
        values: (channels, n).
        boxes: (n, 4) x0 y0 x1 y1 in pixels of the image; NaN where a token is unplaced.
        size: width and height of the image.
        grid: rows and columns of the placed tokens, in row-major order.

    Raises:
        InputError: an unknown mode, or "bilinear" without a grid or with the wrong number of placed
            tokens.
    """
    tokens = token_map(boxes, size)
    covered = tokens >= 0
    if mode == "nearest":
        nearest = values[:, np.where(covered, tokens, 0)].astype(np.float64)
        return np.where(covered, nearest, np.nan)
    placed = ~np.isnan(boxes[:, 0])
    if grid is None:
        raise InputError(
            "expected tokens in a single grid for bilinear interpolation: use nearest instead"
        )
    if grid[0] * grid[1] != placed.sum():
        raise InputError(
            f"expected {grid[0]} x {grid[1]} tokens in a grid, got {int(placed.sum())}"
        )
    cells = boxes[placed].reshape(*grid, 4)
    across = _between((cells[0, :, 0] + cells[0, :, 2]) / 2, size[0])
    down = _between((cells[:, 0, 1] + cells[:, 0, 3]) / 2, size[1])
    planes = values[:, placed].reshape(-1, *grid).astype(np.float64)
    return np.where(covered, down @ planes @ across.T, np.nan)


def _between(centres: Float[np.ndarray, " cell"], n: int) -> Float[np.ndarray, "pixel cell"]:
    """The interpolation weight of each cell for each pixel along one axis."""
    share = np.interp(np.arange(n) + 0.5, centres, np.arange(len(centres)))
    return np.maximum(0.0, 1.0 - np.abs(share[:, None] - np.arange(len(centres))))
