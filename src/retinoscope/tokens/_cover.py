"""The share of each token's box that a mask, a COCO segmentation or a box covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from ..arguments import checked
from ..data import Segmentation, decode_segmentation
from ..errors import InputError

Region: TypeAlias = np.ndarray | Tensor | Segmentation | Sequence[float]


@checked
def region_cover(
    region: Region, size: tuple[int, int], boxes: Float[np.ndarray, "token 4"]
) -> Float[np.ndarray, " token"]:
    """Share of each box that a region covers, exact for boxes at any float; 0 for NaN boxes.

    Args:
        region: a bool mask (H, W); a COCO segmentation: polygons [[x, y, x, y, ...], ...] or a run
            length encoding {"size", "counts"}; or a box of four numbers x0, y0, x1, y1.
        size: width and height of the image.
        boxes: x0 y0 x1 y1 in pixels of the image.

    Raises:
        InputError: an empty region, one of another size than the image, or of an unknown kind.
        MissingExtraError: a compressed encoding without pycocotools.
    """
    if _is_box(region):
        area = _box_overlap(np.asarray(region, dtype=float), size, boxes)
    else:
        area = _mask_overlap(region_mask(region, size), boxes)
    whole = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # Rounding in the sums below must not make a box that only touches count as overlapping.
    share = np.where(area > 1e-6, area / whole, 0.0)
    return np.nan_to_num(np.minimum(share, 1.0))


@checked
def region_mask(region: Region, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """The region as a mask of the image's size. Raises what `region_cover` raises."""
    width, height = size
    if isinstance(region, np.ndarray | Tensor):
        mask = _as_mask(np.asarray(region))
    elif isinstance(region, Mapping | Sequence) and not isinstance(region, str | bytes):
        mask = decode_segmentation(cast(Segmentation, region), height, width)
    else:
        raise InputError(
            "expected a bool mask (H, W), COCO polygons or run lengths, or a box of four numbers, "
            f"got a {type(region).__name__}"
        )
    if mask.shape != (height, width):
        raise InputError(
            f"expected a mask of the image's size {width}x{height} (width x height), got "
            f"{mask.shape[1]}x{mask.shape[0]}: use the mask of the original, uncropped image"
        )
    if not mask.any():
        raise InputError("expected a mask with at least one pixel, got an empty one: leave it out")
    return mask


def _is_box(region: Region) -> bool:
    if isinstance(region, np.ndarray | Tensor):
        return tuple(region.shape) == (4,)
    return (
        isinstance(region, Sequence)
        and len(region) == 4
        and all(isinstance(value, int | float | np.number) for value in region)
    )


def _as_mask(array: np.ndarray) -> Bool[np.ndarray, "height width"]:
    if array.ndim != 2:
        raise InputError(f"expected a mask (height, width), got an array {array.shape}")
    if array.dtype != np.bool_:
        values = np.unique(array)
        if len(values) > 2 or not np.isin(values, (0, 1, 255)).all():
            raise InputError(
                f"expected a bool mask, got {array.dtype} with values other than 0 and 1: "
                "compare it with the value that marks the object"
            )
        array = array > 0
    return array


def _box_overlap(
    box: Float[np.ndarray, " 4"], size: tuple[int, int], boxes: Float[np.ndarray, "token 4"]
) -> Float[np.ndarray, " token"]:
    width, height = size
    x0, y0, x1, y1 = box
    inside = np.isfinite(box).all() and max(x0, 0) < min(x1, width) and max(y0, 0) < min(y1, height)
    if not inside:
        raise InputError(
            f"expected a box x0, y0, x1, y1 with x0 < x1 and y0 < y1 that meets the image "
            f"({width}x{height}), got {box.tolist()}"
        )
    wide = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0)
    high = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0)
    return np.maximum(wide, 0) * np.maximum(high, 0)


def _mask_overlap(
    mask: Bool[np.ndarray, "height width"], boxes: Float[np.ndarray, "token 4"]
) -> Float[np.ndarray, " token"]:
    """Area of the mask in each box, from its double integral, which is bilinear between pixels."""
    height, width = mask.shape
    total = np.zeros((height + 1, width + 1))
    total[1:, 1:] = mask.cumsum(0, dtype=np.int64).cumsum(1)

    def integral(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.clip(np.nan_to_num(x), 0, width), np.clip(np.nan_to_num(y), 0, height)
        i, j = np.minimum(x.astype(int), width - 1), np.minimum(y.astype(int), height - 1)
        u, v = x - i, y - j
        upper = total[j, i] * (1 - u) + total[j, i + 1] * u
        lower = total[j + 1, i] * (1 - u) + total[j + 1, i + 1] * u
        return upper * (1 - v) + lower * v

    x0, y0, x1, y1 = boxes.T
    return integral(x1, y1) - integral(x0, y1) - integral(x1, y0) + integral(x0, y0)
