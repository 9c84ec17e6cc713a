"""What may be compared: finite maps of one size, and fixations that lie on them."""

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
"""A map that the other one is resized to, where that is asked for."""
Fixations = Float[np.ndarray, "fixation 2"] | Bool[np.ndarray, "height width"]
Others = Float[np.ndarray, "other 2"] | Bool[np.ndarray, "height width"]
Negatives = Literal["refuse", "clip", "shift"]
Settings = dict[str, str | int | float | bool]

_FLAT = 1e-12
"""A map whose values differ by less, relative to the largest, is constant: rounding made it so."""


def map_of(values: object, name: str) -> Map:
    """(H, W) float64 of finite numbers.

    Raises:
        InputError: not two-dimensional, without pixels, or a NaN or an infinity.
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
            "mend it, or leave it out and count it"
        )
    return array


def pair(ours: object, theirs: object, resize: Resize | None) -> tuple[Map, Map, Settings]:
    """Both maps in the size of the second.

    Raises:
        InputError: maps that cannot be used, or of two sizes without `resize`.
    """
    first, second = map_of(ours, "the map"), map_of(theirs, "the reference map")
    fitted, settings = fit(first, second.shape, resize)
    return fitted, second, settings


def fit(
    values: Map, shape: Sequence[int], resize: Resize | None
) -> tuple[Float[np.ndarray, "new_height new_width"], Settings]:
    """A map in the size of the other side; resized only where that is asked for."""
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
    """The map scaled to add up to 1; None where it adds up to 0.

    Args:
        negatives: "refuse" them, "clip" them to 0, or "shift" the whole map up by its minimum.
        settings: is told what was done.

    Raises:
        InputError: negative values that are to be refused, or another name.
    """
    one_of(negatives, ("refuse", "clip", "shift"), "negatives")
    low = float(values.min())
    if low < 0:
        if negatives == "refuse":
            raise InputError(
                f"expected {name} without negative values, got {int((values < 0).sum())} of "
                f"{values.size} down to {low:g}: say what they mean, with negatives='clip' or "
                "'shift'"
            )
        settings["negatives"] = negatives
        values = np.maximum(values, 0) if negatives == "clip" else values - low
    total = float(values.sum())
    return values / total if total > 0 else None


def constant(values: np.ndarray) -> bool:
    """Whether all values are the same, but for rounding."""
    return float(np.ptp(values)) <= _FLAT * float(np.abs(values).max())


def pixels(fixations: object, shape: Sequence[int], *, repeats: bool, name: str) -> np.ndarray:
    """Flat indices of the fixated pixels of a map, ascending.

    Args:
        fixations: (n, 2) x and y in pixels from the left upper corner, or a boolean map.
        repeats: a pixel that is looked at twice counts twice; a boolean map counts each once.

    Raises:
        InputError: another form, a NaN, or a point that lies outside.
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
            "them first"
        )
    places = np.floor(array).astype(int)
    flat = np.sort(places[:, 1] * columns + places[:, 0])
    return flat if repeats else np.unique(flat)
