"""Input checks: finite maps of one size, and fixations that lie on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from ...arguments import one_of
from ...errors import InputError
from ._resample import Resize, resample

Map = Float[np.ndarray, "height width"]
ReferenceMap = Float[np.ndarray, "reference_height reference_width"]
"""A reference map, to whose size the other map can be resized."""
Fixations = Float[np.ndarray, "fixation 2"] | Bool[np.ndarray, "height width"]
Others = Float[np.ndarray, "other 2"] | Bool[np.ndarray, "height width"]
Negatives = Literal["refuse", "clip", "shift"]
Settings = dict[str, str | int | float | bool]

_FLAT = 1e-12
"""Maps whose values differ by less, relative to the largest, are constant up to rounding."""


def map_of(values: object, name: str) -> Map:
    """Returns `values` as a float64 array (H, W) of finite numbers.

    Raises:
        InputError: not two-dimensional, without pixels, or with NaN or infinity.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "biuf":
        raise InputError(
            f"expected {name} as an array (height, width) of numbers, got {array.dtype} "
            f"{array.shape}"
        )
    array = array.astype(np.float64)
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise InputError(
            f"expected {name} without NaN and infinity, got {bad} such of {array.size} pixels: "
            "fill them, or leave the map out and count it"
        )
    return array


def pair(predicted: object, reference: object, resize: Resize | None) -> tuple[Map, Map, Settings]:
    """Returns both maps in the size of the second, and the settings to record.

    Raises:
        InputError: invalid maps, or maps of different sizes without `resize`.
    """
    first, second = map_of(predicted, "the map"), map_of(reference, "the reference map")
    fitted, settings = fit(first, second.shape, resize)
    return fitted, second, settings


def fit(
    values: Map, shape: Sequence[int], resize: Resize | None
) -> tuple[Float[np.ndarray, "new_height new_width"], Settings]:
    """Returns a map in the reference's size, resized only on request, and the settings."""
    if resize is not None:
        one_of(resize, ("bilinear", "area"), "resize")
    rows, columns = shape
    if values.shape == (rows, columns):
        return values, {}
    if resize is None:
        raise InputError(
            f"expected a map of the reference's size {columns}x{rows} (width x height), got "
            f"{values.shape[1]}x{values.shape[0]}: give both for the same image, or resize= "
            "'bilinear' or 'area'"
        )
    settings: Settings = {"resize": f"{resize} from {values.shape[1]}x{values.shape[0]}"}
    return resample(values, (rows, columns), resize), settings


def density(
    values: Map, name: str, negatives: Negatives, settings: Settings
) -> Float[np.ndarray, "height width"] | None:
    """Returns the map scaled to add up to 1; None where it adds up to 0.

    Args:
        negatives: "refuse" them, "clip" them to 0, or "shift" the whole map up by its minimum.
        settings: where the treatment of negative values is recorded.

    Raises:
        InputError: negative values that are to be refused, or an unknown treatment.
    """
    one_of(negatives, ("refuse", "clip", "shift"), "negatives")
    low = float(values.min())
    if low < 0:
        if negatives == "refuse":
            raise InputError(
                f"expected {name} without negative values, got {int((values < 0).sum())} of "
                f"{values.size} down to {low:g}: choose their treatment, negatives='clip' or "
                "'shift'"
            )
        settings["negatives"] = negatives
        values = np.maximum(values, 0) if negatives == "clip" else values - low
    total = float(values.sum())
    return values / total if total > 0 else None


def constant(values: np.ndarray) -> bool:
    """Whether all values are the same up to rounding."""
    return float(np.ptp(values)) <= _FLAT * float(np.abs(values).max())


def pixels(fixations: object, shape: Sequence[int], *, repeats: bool, name: str) -> np.ndarray:
    """Returns flat indices of the fixated pixels of a map, ascending.

    Args:
        fixations: (n, 2) x and y in pixels from the upper left corner, or a boolean map.
        repeats: count a pixel fixated twice as two; a boolean map counts each pixel once.

    Raises:
        InputError: another shape or type, NaN, or a point outside the map.
    """
    rows, columns = shape
    array = np.asarray(fixations)
    if array.dtype == np.bool_:
        if array.shape != (rows, columns):
            raise InputError(
                f"expected {name} as a map of {columns}x{rows} (width x height), got "
                f"{array.shape[::-1]}"
            )
        return np.flatnonzero(array)
    if array.size == 0:
        return np.zeros(0, int)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iuf":
        raise InputError(f"expected {name} as (n, 2) numbers x and y, got {array.shape}")
    array = array.astype(np.float64)
    outside = ~((array >= 0) & (array < (columns, rows))).all(1)
    if outside.any():
        first = array[outside][0]
        raise InputError(
            f"expected {name} inside the image ({columns}x{rows}), got {int(outside.sum())} of "
            f"{len(array)} outside, the first at x {first[0]:g}, y {first[1]:g}: drop and count "
            "those first"
        )
    cells = np.floor(array).astype(int)
    flat = np.sort(cells[:, 1] * columns + cells[:, 0])
    return flat if repeats else np.unique(flat)
