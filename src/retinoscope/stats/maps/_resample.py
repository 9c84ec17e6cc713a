"""Resampling of maps in float64, as a product with two matrices."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

from ...arguments import checked
from ...errors import InputError

Resize = Literal["bilinear", "area"]


@checked
def resample(
    values: Float[np.ndarray, "height width"], shape: tuple[int, int], how: Resize
) -> Float[np.ndarray, "new_height new_width"]:
    """Resamples a map to another size.

    Args:
        values: (H, W).
        shape: rows and columns wanted.
        how: "bilinear" interpolates between pixel centres (as torch's `interpolate` with
            `align_corners=False`); "area" averages the pixels that a new pixel covers, weighted by
            their covered area, so that nothing is skipped when a map shrinks.

    Raises:
        InputError: an unknown name, or a size below 1.
    """
    if min(shape) < 1:
        raise InputError(f"expected a size of at least 1 x 1 pixel, got {shape}")
    weights = _linear if how == "bilinear" else _area
    rows, columns = (weights(old, new) for old, new in zip(values.shape, shape, strict=True))
    return rows @ values @ columns.T


def _linear(old: int, new: int) -> np.ndarray:
    """(new, old) weights."""
    centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.minimum(np.floor(centre).astype(int), max(old - 2, 0))
    weights = np.zeros((new, old))
    weights[np.arange(new), low] = 1 - (centre - low)
    if old > 1:
        weights[np.arange(new), low + 1] += centre - low
    return weights


def _area(old: int, new: int) -> np.ndarray:
    """(new, old) weights."""
    edges = np.arange(new + 1) * old / new
    pixels = np.arange(old)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(covered, 0) * new / old
