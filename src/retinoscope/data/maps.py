"""Maps over the pixels of an image: validation, and densities of fixations."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ..errors import InputError

MOST = 1e200
"""The largest value of a map, so that sums stay finite."""

_AT_ONCE = 1 << 22
"""Kernel values held at a time: those of a million fixations would take gigabytes."""
_LEAST, _MOST = 1e-9, 1e9
"""Bounds of a bandwidth in pixels."""


def kernel_density(
    points: Float[np.ndarray, "fixation xy"],
    weights: Float[np.ndarray, " fixation"],
    size: tuple[int, int],
    bandwidth: float,
) -> Float[np.ndarray, "height width"]:
    """sum over fixations of w exp(-|p - f|^2 / 2 s^2) at the pixel centres, scaled to sum to 1.

    Exact: no kernel is truncated, and no fixation is moved to a pixel. The part of a kernel outside
    the image is lost, and the rest is scaled up.

    Args:
        points: (n, 2) x and y in pixels from the upper left corner.
        weights: (n,) not negative.
        size: width and height.
        bandwidth: s in pixels.

    Raises:
        InputError: a bandwidth of 0 or below, or weights that add up to 0.
    """
    if not _LEAST <= bandwidth <= _MOST:
        raise InputError(
            f"expected a bandwidth above 0 pixels (from {_LEAST:g} to {_MOST:g}), got {bandwidth}"
        )
    if not len(points) or not np.sum(weights) > 0:
        raise InputError("expected at least one fixation of some duration, got none")
    points, weights = np.asarray(points, float), np.asarray(weights, float)
    density = np.zeros(size[::-1])
    step = max(1, _AT_ONCE // sum(size))
    for start in range(0, len(points), step):
        some = slice(start, start + step)
        across, down = (
            np.exp(-((np.arange(side) + 0.5 - places[:, None]) ** 2) / (2 * bandwidth**2))
            for side, places in zip(size, points[some].T, strict=True)
        )
        density += (down * weights[some, None]).T @ across
    total = density.sum()
    if not total > 0:
        raise InputError(
            f"kernels of {bandwidth:g} pixels vanish between the pixels: give a larger bandwidth"
        )
    return density / total


def checked_map(
    values: object, size: tuple[int, int] | None = None, where: str = ""
) -> Float[np.ndarray, "height width"]:
    """Returns `values` as a map (height, width) of finite numbers from 0 up.

    Args:
        size: the width and height that it must have; None for any.
        where: a prefix of error messages, such as the file.

    Raises:
        InputError: not numbers, no values, another size, NaN, or a value below 0 or above `MOST`.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
        raise InputError(
            f"{where}expected a map as (height, width) numbers, got {array.dtype} {array.shape}"
        )
    array = array.astype(np.float64)
    if not (array.min() >= 0 and array.max() <= MOST):
        low, high = array.min(), array.max()
        got = "NaN" if np.isnan(low) else f"{low if low < 0 else high:g}"
        raise InputError(f"{where}expected a map of finite values from 0 up, got {got}: correct it")
    if size is not None and array.shape[::-1] != tuple(size):
        raise InputError(
            f"{where}expected a map of the image's size {size[0]}x{size[1]} (width x height), got "
            f"{array.shape[1]}x{array.shape[0]}: use the map of this image, or have it resized "
            '("resize": "area" or "bilinear" in gaze.json)'
        )
    return array
