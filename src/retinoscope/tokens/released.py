"""The visual tokens that the released code of Neo et al. 2024 takes for an object's.

It lays patches of floor(side / 24) pixels over the centre square of the image, and drops polygon
vertices outside that square (instead of clipping the polygon). Unless the side is a multiple of 24,
its patches drift from the tokens towards the bottom right.

Source: src/utils.py in clemneo/llava-interp, as of 2024-10-15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from ..arguments import checked
from ..errors import CapabilityError, MissingExtraError

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..data import Object
    from . import Layout

VERTICES = 3
"""A polygon with fewer vertices inside the square is dropped."""


@checked
def centre_square(size: tuple[int, int]) -> tuple[int, int, int]:
    """Left, top and side of the centre square of an image of this width and height, in pixels."""
    side = min(size)
    return (size[0] - side) // 2, (size[1] - side) // 2, side


def cropped(image: Image) -> Image:
    """The centre square of an image."""
    left, top, side = centre_square(image.size)
    return image.crop((left, top, left + side, top + side))


@checked
def kept_polygons(obj: Object, size: tuple[int, int]) -> list[np.ndarray]:
    """(vertex, 2) each: the remaining vertices of the object's polygons in the centre square.

    Vertices on the right or lower edge of the square are outside: 0 <= x < side.

    Args:
        size: width and height of the image in pixels.
    """
    left, top, side = centre_square(size)
    kept = []
    for polygon in obj.polygons:
        points = np.asarray(polygon, float).reshape(-1, 2) - [left, top]
        inside = points[((points >= 0) & (points < side)).all(1)]
        kept += [inside] if len(inside) >= VERTICES else []
    return kept


@checked
def released_tokens(obj: Object, size: tuple[int, int], n: int) -> Bool[np.ndarray, "row column"]:
    """The released code's object tokens on an n x n grid.

    Args:
        obj: with polygons, or with run lengths, whose mask is cropped (the released code cannot
            read those).
        size: width and height of the image in pixels.

    Raises:
        MissingExtraError: polygons without pycocotools, which draws them in the released code.
    """
    left, top, side = centre_square(size)
    mask = obj.mask[top : top + side, left : left + side]
    if obj.polygons:
        mask = _drawn(kept_polygons(obj, size), side)
    patch = side // n
    blocks = mask[: n * patch, : n * patch].reshape(n, patch, n, patch)
    return np.asarray(blocks.any(axis=(1, 3)))


def _drawn(polygons: list[np.ndarray], side: int) -> Bool[np.ndarray, "side side"]:
    if not polygons:
        return np.zeros((side, side), bool)
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise MissingExtraError("pycocotools", "coco") from error
    codes = coco.frPyObjects([points.ravel().tolist() for points in polygons], side, side)
    return np.asarray(coco.decode(coco.merge(codes))).astype(bool)


def released_side(layout: Layout) -> int:
    """n, if the visual tokens are an n x n grid to which the released code applies.

    Raises:
        CapabilityError: another layout, or patches without a pixel.
    """
    n = 0 if layout.grid is None else layout.grid[0]
    if not n or layout.grid != (n, n) or len(layout) != n * n or layout.unplaced.any():
        raise CapabilityError(
            "the released code chooses tokens on a square grid over the centre of the image; this "
            f"model has {len(layout)} visual tokens in another layout"
        )
    if min(layout.size) < n:
        raise CapabilityError(
            f"the released code's patches have floor({min(layout.size)} / {n}) = 0 pixels"
        )
    return n


def patch_boxes(
    chosen: Bool[np.ndarray, "row column"], side: int
) -> list[tuple[float, float, float, float]]:
    """x0, y0, x1, y1 in the centre square of the patches that are True, row by row."""
    patch = side // len(chosen)
    return [
        (x * patch, y * patch, (x + 1) * patch, (y + 1) * patch) for y, x in np.argwhere(chosen)
    ]
