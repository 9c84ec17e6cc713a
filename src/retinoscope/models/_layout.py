"""The origin of each visual token in the image, in pixels of the original image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """The places of one image's n visual tokens, in the order in which the decoder reads them.

    Attributes:
        size: width and height of the original image (after its EXIF rotation), in pixels.
        boxes: (n, 4) x0 y0 x1 y1 in pixels of the original image, exact floats, clipped at its
            borders; NaN where a token is unplaced. A pixel (column i, row j) is the unit square
            from (i, j) to (i + 1, j + 1).
        rows, columns: (n,) place in the token grid of its tile, -1 without one.
        tiles: (n,) index of the tile (crop, thumbnail) that a token belongs to.
        grid: (rows, columns) if all placed tokens form one grid, else None.
        why: the reason why places are unknown; "" if they are known, or tokens have none.

    A token is unplaced if no part of the image is its own: a class token, a separator, a learned
    query, or a patch of padding only (which keeps its row and column).
    """

    size: tuple[int, int]
    boxes: Float[np.ndarray, "token 4"]
    rows: Int[np.ndarray, " token"]
    columns: Int[np.ndarray, " token"]
    tiles: Int[np.ndarray, " token"]
    grid: tuple[int, int] | None
    why: str = ""

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def unplaced(self) -> Bool[np.ndarray, " token"]:
        """True for each token without a box."""
        return np.isnan(self.boxes[:, 0])


@dataclass(frozen=True, eq=False)
class SoftOrigin:
    """Where in the image learned queries looked, for tokens without a box of their own.

    Attributes:
        weights: (query, patch) float32 attention of each query to the vision tower's patches, after
            the softmax, averaged over the heads of the last cross-attention.
        layout: of the patches, in the same order.
    """

    weights: Float[Tensor, "query patch"]
    layout: Layout

    @property
    def elsewhere(self) -> Float[Tensor, " query"]:
        """The rest of each query's attention: to the class token, and to other queries if it reads
        them."""
        return 1 - self.weights.sum(-1)


@dataclass(frozen=True)
class Frame:
    """The affine map, one per axis, from processed pixels to pixels of the original image.

    original = (processed + offset) / scale; offsets are in processed pixels.
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


def unplaced_layout(size: tuple[int, int], count: int, why: str = "", tile: int = 0) -> Layout:
    """A layout of `count` tokens without places, and the reason."""
    nowhere = np.full(count, -1)
    return Layout(
        size=size,
        boxes=np.full((count, 4), np.nan),
        rows=nowhere,
        columns=nowhere,
        tiles=np.full(count, tile),
        grid=None,
        why=why,
    )


def joined_layout(
    parts: Sequence[Layout], tiles: Sequence[int] | None = None, grid: tuple[int, int] | None = None
) -> Layout:
    """Consecutive layouts of one image as a single one.

    Args:
        tiles: the tile of each part; by default their numbers from 0.
        grid: rows and columns, if all placed tokens form one grid.
    """
    return Layout(
        size=parts[0].size,
        boxes=np.concatenate([part.boxes for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
        columns=np.concatenate([part.columns for part in parts]),
        tiles=np.repeat(range(len(parts)) if tiles is None else tiles, list(map(len, parts))),
        grid=grid,
    )


def chosen_layout(layout: Layout, chosen: Int[np.ndarray, " token"]) -> Layout:
    """The layout of these tokens alone, in this order; they form no grid."""
    parts = {name: getattr(layout, name)[chosen] for name in ("boxes", "rows", "columns", "tiles")}
    return replace(layout, **parts, grid=None)


def grid_layout(
    size: tuple[int, int], frame: Frame, grid: tuple[int, int], patch: float, leading: int = 0
) -> Layout:
    """A row-major grid of square patches, after `leading` unplaced tokens (a class token).

    Args:
        size: width and height of the original image.
        frame: from processed to original pixels.
        grid: rows and columns of patches.
        patch: side of a patch in processed pixels.
    """
    rows, columns = (np.arange(count + 1) * patch for count in grid)
    across, down = (np.stack([edges[:-1], edges[1:]], axis=1) for edges in (columns, rows))
    return cells_layout(size, frame, across, down, leading)


def cells_layout(
    size: tuple[int, int],
    frame: Frame,
    across: Float[np.ndarray, "column 2"],
    down: Float[np.ndarray, "row 2"],
    leading: int = 0,
) -> Layout:
    """A row-major grid of cells of any size, after `leading` unplaced tokens (a class token).

    Args:
        size: width and height of the original image.
        frame: from processed to original pixels.
        across, down: start and end of each column and each row, in processed pixels.
    """
    grid = len(down), len(across)
    rows, columns = (axis.ravel() for axis in np.mgrid[: grid[0], : grid[1]])
    xs = np.clip((across + frame.offset_x) / frame.scale_x, 0, size[0])[columns]
    ys = np.clip((down + frame.offset_y) / frame.scale_y, 0, size[1])[rows]
    boxes = np.stack([xs[:, 0], ys[:, 0], xs[:, 1], ys[:, 1]], axis=1)
    only_padding = (boxes[:, 2] - boxes[:, 0] <= 0) | (boxes[:, 3] - boxes[:, 1] <= 0)
    boxes[only_padding] = np.nan
    none = np.full(leading, -1)
    return Layout(
        size=size,
        boxes=np.concatenate([np.full((leading, 4), np.nan), boxes]),
        rows=np.concatenate([none, rows]),
        columns=np.concatenate([none, columns]),
        tiles=np.zeros(leading + len(boxes), dtype=int),
        grid=grid,
    )
