"""Pixels of each class and instance inside each location's box.

These counts determine the score of any prediction that is constant within locations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from ..arguments import checked
from ..data import IGNORE
from ..errors import InputError

Map = Int[np.ndarray, "height width"]


@checked
def class_cells(labels: Map, tokens: Map, n: int, n_classes: int) -> Int[np.ndarray, "location k"]:
    """(n, n_classes) pixels of each class at each location.

    Ignored pixels and pixels at no location do not count.

    Args:
        labels: from `retinoscope.data.label_map`.
        tokens: the location of each pixel, from `retinoscope.tokens.token_map`.

    Raises:
        InputError: maps of different sizes.
    """
    _same_size(labels.shape, tokens.shape)
    known = (tokens >= 0) & (labels != IGNORE)
    flat = tokens[known].astype(np.int64) * n_classes + labels[known]
    return np.bincount(flat, minlength=n * n_classes).reshape(n, n_classes)


@checked
def instance_cells(
    masks: Sequence[Bool[np.ndarray, "height width"]],
    tokens: Map,
    n: int,
    known: Bool[np.ndarray, "height width"] | None = None,
) -> Int[np.ndarray, "instance location"]:
    """(instances, n) pixels of each instance at each location.

    Args:
        masks: of the instances; they may overlap.
        tokens: as in `class_cells`.
        known: where pixels count; None for everywhere.

    Raises:
        InputError: a mask of another size.
    """
    counted = tokens >= 0 if known is None else (tokens >= 0) & known
    counts = np.zeros((len(masks), n), np.int64)
    for row, mask in zip(counts, masks, strict=True):
        _same_size(mask.shape, tokens.shape)
        row[:] = np.bincount(tokens[counted & mask], minlength=n)
    return counts


@checked
def counts_of(
    cells: Int[np.ndarray, "location k"], labels: Int[np.ndarray, " location"]
) -> Int[np.ndarray, "k 3"]:
    """Like `retinoscope.stats.class_counts`, for one label per location."""
    n_classes = cells.shape[1]
    places = np.arange(len(cells))
    right = np.bincount(labels, cells[places, labels], n_classes)
    predicted = np.bincount(labels, cells.sum(1), n_classes)
    return np.stack([right, predicted, cells.sum(0)], 1).astype(np.int64)


def _same_size(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise InputError(
            f"expected maps of the same size, got {shape} and {expected}: use this image's masks"
        )
