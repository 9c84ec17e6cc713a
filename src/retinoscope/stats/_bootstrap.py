"""Cluster bootstrap: resamples whole groups (images), since items of one image are not independent
(Efron and Tibshirani 1993)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from .. import arguments
from ..arguments import checked

_CHUNK = 1 << 19
_CACHED = 1 << 27
"""The largest number of counts kept for the next interval, at a byte each."""


@checked
def resample_weights(n_groups: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yields chunks of (resamples, n_groups) with how often each group is drawn.

    Raises:
        InputError: no resamples, or a seed below 0.
    """
    arguments.whole(n_resamples, "n_resamples", 1)
    arguments.seed(seed)
    if n_groups * n_resamples > _CACHED:
        yield from _draws(n_groups, n_resamples, seed)
        return
    # Most conditions of a study share their images, and drawing takes most of the time.
    for chunk in _cached_draws(n_groups, n_resamples, seed):
        yield chunk.astype(np.float64)


@lru_cache(maxsize=1)
def _cached_draws(n_groups: int, n_resamples: int, seed: int) -> list[np.ndarray]:
    chunks = _draws(n_groups, n_resamples, seed)
    # In practice no group is drawn more than 255 times; take the smallest type that fits anyway.
    return [chunk.astype(np.min_scalar_type(int(chunk.max()))) for chunk in chunks]


def _draws(n_groups: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draws from a multinomial by counting uniform picks, which is several times faster."""
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // n_groups)
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        picks = generator.integers(0, n_groups, size=(rows, n_groups))
        picks += np.arange(rows)[:, None] * n_groups
        counts = np.bincount(picks.ravel(), minlength=rows * n_groups)
        yield counts.reshape(rows, n_groups).astype(np.float64)
