"""Density maps of fixations, and a centre prior."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from ...errors import InputError

BANDWIDTH = 0.03
"""Of the kernel, as a share of the image's diagonal; the paper does not give its own."""

_AT_ONCE = 1 << 22
"""Numbers of kernels that are held at a time: those of a million fixations take gigabytes."""
_LEAST, _MOST = 1e-9, 1e9
"""Pixels of a bandwidth."""


def kernel_density(
    points: Float[np.ndarray, "fixation xy"],
    weights: Float[np.ndarray, " fixation"],
    size: tuple[int, int],
    bandwidth: float,
) -> Float[np.ndarray, "height width"]:
    """sum over fixations of w exp(-|p - f|^2 / 2 s^2) at the pixels' centres, scaled to sum 1.

    Exact: no kernel is cut off, and no fixation is moved to a pixel. What of a kernel lies outside
    the image is lost, and the rest is scaled up.

    Args:
        points: (n, 2) x and y in pixels from the left upper corner.
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


def centre_prior(size: tuple[int, int], spread: float = 0.25) -> Float[np.ndarray, "height width"]:
    """A Gaussian at the centre, as wide and high as the image asks for; adds up to 1.

    What people's maps have in common without having seen the image; a map must do better.

    Args:
        size: width and height in pixels.
        spread: its standard deviation, as a share of the width and of the height.

    Raises:
        InputError: a spread of 0 or below.
    """
    if not (math.isfinite(spread) and spread > 0):
        raise InputError(f"expected a spread above 0, got {spread}")
    across, down = (
        np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * spread**2)) for side in size
    )
    density = np.outer(down, across)
    return density / density.sum()


def overlap(
    starts: Float[np.ndarray, " fixation"],
    ends: Float[np.ndarray, " fixation"],
    span: tuple[float, float],
) -> Float[np.ndarray, " fixation"]:
    """Seconds of each fixation that fall into `span`."""
    return np.maximum(np.minimum(ends, span[1]) - np.maximum(starts, span[0]), 0.0)
