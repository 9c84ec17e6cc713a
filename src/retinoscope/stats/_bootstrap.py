"""Cluster bootstrap: whole groups (images) are resampled, since items of one image are not
independent (Efron and Tibshirani 1993)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from .. import arguments
from ..arguments import checked

_CHUNK = 1 << 19
_KEPT = 1 << 27
"""Counts that are kept for the next interval, a byte each."""


@checked
def resample_weights(n_groups: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Chunks of (resamples, n_groups): how often each group is drawn.

    Raises:
        InputError: no resamples, or a seed below 0.
    """
    arguments.whole(n_resamples, "n_resamples", 1)
    arguments.seed(seed)
    if n_groups * n_resamples > _KEPT:
        yield from _draws(n_groups, n_resamples, seed)
        return
    # The conditions of a study mostly have the same images; drawing takes most of the time.
    for chunk in _kept(n_groups, n_resamples, seed):
        yield chunk.astype(np.float64)


@lru_cache(maxsize=1)
def _kept(n_groups: int, n_resamples: int, seed: int) -> list[np.ndarray]:
    chunks = _draws(n_groups, n_resamples, seed)
    # A group is drawn 255 times never in practice, but the smallest type that fits decides.
    return [chunk.astype(np.min_scalar_type(int(chunk.max()))) for chunk in chunks]


def _draws(n_groups: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """The same numbers as a multinomial draw, by counting uniform picks, which is several times
    faster."""
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // n_groups)
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        picks = generator.integers(0, n_groups, size=(rows, n_groups))
        picks += np.arange(rows)[:, None] * n_groups
        counts = np.bincount(picks.ravel(), minlength=rows * n_groups)
        yield counts.reshape(rows, n_groups).astype(np.float64)
