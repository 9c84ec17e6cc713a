"""Counting into tables."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def tally(
    shape: tuple[int, ...],
    *places: Int[np.ndarray, " n"],
    count: Int[np.ndarray, " n"] | None = None,
) -> Int[np.ndarray, "..."]:
    """A table of `shape` that counts how often each cell is indexed, or sums `count` there.

    Args:
        places: one index array per axis; -1 is the last index.
    """
    code = np.zeros(len(places[0]), np.int64)
    for size, place in zip(shape, places, strict=True):
        code = code * size + np.where(place < 0, place + size, place)
    return np.bincount(code, count, int(np.prod(shape))).reshape(shape).astype(np.int64)
