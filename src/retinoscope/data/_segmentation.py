"""COCO segmentations as masks: polygons, and both kinds of run lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool

from ..arguments import checked
from ..errors import InputError, MissingExtraError

_FARTHEST = 1e9
_MOST_POINTS = 1_000_000
_MOST_CROSSINGS = 50_000_000
"""Limits on the cost of a polygon: about 2 GB at most."""
_MOST_OVER = 100
"""How many times the boxes around an object's polygons may cover the image, in total."""

Polygons: TypeAlias = Sequence[Sequence[float]]
"""[[x, y, x, y, ...], ...] in pixels of the image."""
Segmentation: TypeAlias = Polygons | Mapping[str, object]
"""Polygons, or run lengths {"size": [height, width], "counts": list, str or bytes}."""


@checked
def decode_segmentation(
    segmentation: Segmentation, height: int, width: int
) -> Bool[np.ndarray, "height width"]:
    """Rasterises a COCO segmentation; the mask is empty if no pixel centre is inside.

    A polygon covers the pixels whose *centre* lies inside by the even-odd rule, and several
    polygons are united. A centre exactly on an edge belongs to the side on its right or below, so
    that polygons that share an edge never share a pixel. (pycocotools rounds outlines to a fifth of
    a pixel, so masks may differ from its by pixels along the outline.) Uncompressed run lengths are
    decoded here, exactly; compressed ones by pycocotools.

    Args:
        segmentation: polygons or run lengths.
        height, width: of the image, in pixels.

    Raises:
        InputError: neither polygons nor run lengths, a polygon with fewer than 3 points or with
            coordinates that are not finite, or run lengths of another size.
        MissingExtraError: compressed run lengths without pycocotools.
    """
    if isinstance(segmentation, Mapping):
        return _decode_runs(segmentation, height, width)
    if isinstance(segmentation, str | bytes) or not isinstance(segmentation, Sequence):
        raise InputError(
            "expected a segmentation as a list of polygons or as run lengths, got a "
            f"{type(segmentation).__name__}: see COCO's data format"
        )
    mask = np.zeros((height, width), dtype=bool)
    filled = 0
    for polygon in segmentation:
        filled += _fill(_points(polygon), mask)
        if filled > _MOST_OVER * mask.size:
            raise InputError(
                f"expected separate polygons, got {len(segmentation)} that cover the image more "
                f"than {_MOST_OVER} times: correct or leave out the annotation"
            )
    return mask


@checked
def run_lengths(mask: Bool[np.ndarray, "height width"]) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths: column by column, starting with a run of zeros."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    return {"counts": counts, "size": [int(side) for side in mask.shape]}


def _points(polygon: object) -> np.ndarray:
    try:
        flat = np.asarray(polygon)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "expected a polygon of numbers x, y, x, y, ..., got something else"
        ) from error
    if flat.dtype.kind not in "iuf" or not isinstance(polygon, Sequence | np.ndarray):
        raise InputError("expected a polygon of numbers x, y, x, y, ..., got something else")
    flat = flat.astype(float)
    if flat.ndim != 1 or flat.size % 2 or flat.size < 6:
        raise InputError(
            "expected a polygon x, y, x, y, ... of at least 3 points, got an array of shape "
            f"{flat.shape}: correct or leave out the annotation"
        )
    if not (np.abs(flat) <= _FARTHEST).all():
        raise InputError(
            f"expected a polygon of finite numbers, got {flat[~(np.abs(flat) <= _FARTHEST)][0]}"
        )
    if len(flat) > 2 * _MOST_POINTS:
        raise InputError(f"expected a polygon of at most {_MOST_POINTS:,} points, got more")
    return flat.reshape(-1, 2)


def _fill(points: np.ndarray, mask: Bool[np.ndarray, "height width"]) -> int:
    """Fills by the even-odd rule at pixel centres: each crossing of a row toggles all to its right.

    Returns the number of pixels examined: those of the box around the polygon.
    """
    height, width = mask.shape
    (xa, ya), (xb, yb) = points.T, np.roll(points, -1, axis=0).T
    # Row r is crossed where min <= r + 0.5 < max.
    first = np.clip(np.ceil(np.minimum(ya, yb) - 0.5), 0, height).astype(int)
    stop = np.clip(np.ceil(np.maximum(ya, yb) - 0.5), 0, height).astype(int)
    counts = stop - first
    if counts.sum() > _MOST_CROSSINGS:
        raise InputError("expected a polygon, got one with too many crossings to be an outline")
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    slope = (row + 0.5 - ya[edge]) / (yb[edge] - ya[edge])
    x = xa[edge] + slope * (xb[edge] - xa[edge])
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
    if not len(row) or column.min() == column.max():
        return 0
    top, left = int(row.min()), int(column.min())
    rows, columns = int(row.max()) + 1 - top, int(column.max()) - left
    places = (row - top) * (columns + 1) + column - left
    toggles = np.bincount(places, minlength=rows * (columns + 1)).reshape(rows, columns + 1)
    inside = (toggles.cumsum(axis=1)[:, :columns] & 1).astype(bool)
    mask[top : top + rows, left : left + columns] |= inside
    return rows * columns


def _decode_runs(code: Mapping[str, object], height: int, width: int) -> np.ndarray:
    size, counts = code.get("size"), code.get("counts")
    if not isinstance(size, Sequence) or len(size) != 2 or counts is None:
        raise InputError(
            f"expected run lengths with 'size' and 'counts', got the keys {sorted(code)}"
        )
    if [height, width] != list(size):
        raise InputError(
            f"expected run lengths of the image's size [{height}, {width}] (height, width), got "
            f"{list(size)}: use the annotations of this image"
        )
    if isinstance(counts, str | bytes):
        return _decompress(counts, height, width)
    try:
        runs = np.asarray(counts, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("expected run lengths as whole numbers, got something else") from error
    pixels = height * width
    # Checked one by one too, since the sum of large ones may overflow.
    if runs.ndim != 1 or not ((runs >= 0) & (runs <= pixels)).all() or runs.sum() != pixels:
        raise InputError(
            f"expected run lengths >= 0 that add up to {pixels} pixels, got {int(runs.sum())}: "
            "the annotation is damaged"
        )
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    # COCO counts down the columns.
    return np.ascontiguousarray(values.reshape((height, width), order="F"))


def _decompress(counts: str | bytes, height: int, width: int) -> np.ndarray:
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise MissingExtraError("pycocotools", "coco") from error
    packed = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
    # If the runs fall short, pycocotools returns uninitialised memory.
    total = sum(_unpacked(packed))
    if total != height * width:
        raise InputError(
            f"expected run lengths that add up to {height * width} pixels, got {total}: "
            "the annotation is damaged"
        )
    return np.asarray(coco.decode({"size": [height, width], "counts": packed})).astype(bool)  # type: ignore[arg-type]


def _unpacked(packed: bytes) -> list[int]:
    """Run lengths from COCO's compressed form: 5 bits per character, differences from the third on.

    Raises:
        InputError: a character outside the code, a run that is truncated or negative.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in packed:
        digit = byte - 48
        if not 0 <= digit < 64 or shift > 30:
            raise InputError("expected compressed run lengths, got a text of another form")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            raise InputError("expected compressed run lengths >= 0, got a negative one")
        runs.append(value)
        value = shift = 0
    if shift:
        raise InputError("expected compressed run lengths, got a truncated text")
    return runs
