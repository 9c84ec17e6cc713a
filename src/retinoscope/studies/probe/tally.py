"""Counting into tables."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def tally(
    shape: tuple[int, ...],
    *places: Int[np.ndarray, " n"],
    count: Int[np.ndarray, " n"] | None = None,
) -> Int[np.ndarray, "..."]:
    """A table of `shape` with how often each place is named, or with the sum of its counts.

    Args:
        places: one index an axis; -1 is the last.
    """
    code = np.zeros(len(places[0]), np.int64)
    for size, place in zip(shape, places, strict=True):
        code = code * size + np.where(place < 0, place + size, place)
    return np.bincount(code, count, int(np.prod(shape))).reshape(shape).astype(np.int64)
