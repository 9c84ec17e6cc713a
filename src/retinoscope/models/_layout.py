"""Where each visual token of an image came from, in pixels of the original image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """The places of one image's n visual tokens, in the order in which the decoder reads them.

    Attributes:
        size: width and height of the original image (after its EXIF rotation), in pixels.
        boxes: (n, 4) x0 y0 x1 y1 in pixels of the original image, exact floats, cut at the image's
            borders; NaN where a token is unplaced. A pixel (column i, row j) is the unit square
            from (i, j) to (i + 1, j + 1).
        rows, columns: (n,) place in the token grid of its tile, -1 without one.
        tiles: (n,) index of the tile (crop, thumbnail) that a token belongs to.
        grid: (rows, columns) where all placed tokens form one grid, else None.
        why: why places that tokens may have are not known; "" where what is here is all there is.

    A token is unplaced if it has no part of the image of its own: a class token, a separator, a
    learned query, or a patch that holds only padding (which keeps its row and column).
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
    """Where in the image learned queries looked: tokens without a box of their own.

    Attributes:
        weights: (query, patch) float32 attention of each query to the vision tower's patches, after
            the softmax, averaged over the heads of the last cross-attention.
        layout: of the patches, in the same order.
    """

    weights: Float[Tensor, "query patch"]
    layout: Layout

    @property
    def elsewhere(self) -> Float[Tensor, " query"]:
        """The rest of each query's attention: the class token, and other queries where it reads
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
        across, down: where each column and each row begins and ends, in processed pixels.
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
