"""Cluster bootstrap: whole groups (images) are resampled, since items of one image are not
independent. Percentile intervals (Efron and Tibshirani 1993, chapter 13)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from retinoscope.errors import InputError
from retinoscope.stats._check import (
    Groups,
    Values,
    check_level,
    check_resamples,
    group_numbers,
    is_boolean,
    numbers,
)
from retinoscope.stats._types import Interval, PairedDifference

_CHUNK = 1 << 19
_KEPT = 1 << 27
"""Counts that are kept for the next interval, a byte each."""


def bootstrap_mean(
    values: Values,
    groups: Groups | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Mean over items, with a percentile interval over resampled groups.

    Args:
        values: (n,) numbers or booleans.
        groups: (n,) the image of each item; by default each item is its own group.

    Raises:
        InputError: a NaN or an infinity (names the index), or other lengths.
    """
    items = numbers(values, "values")
    return _ratio(items, np.ones_like(items), groups, n_resamples, seed, level, "mean")


def bootstrap_ratio(
    numerator: Values,
    denominator: Values,
    groups: Groups | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Sum of numerators over sum of denominators (such as hits over tokens, or accuracy after over
    accuracy before), with a percentile interval over resampled groups.

    Resamples whose denominator is 0 are left out, and `reason` counts them.

    Args:
        numerator, denominator: (n,) numbers or booleans.
        groups: (n,) the image of each item; by default each item is its own group.

    Raises:
        InputError: a NaN, an infinity, a negative denominator (names the index), other lengths.
    """
    top, bottom = numbers(numerator, "numerator"), numbers(denominator, "denominator")
    if top.size != bottom.size:
        raise InputError(f"{top.size} numerators and {bottom.size} denominators; expected as many")
    bad = np.flatnonzero(bottom < 0)
    if bad.size:
        raise InputError(f"denominator[{bad[0]}] is {bottom[bad[0]]}; expected 0 or more")
    return _ratio(top, bottom, groups, n_resamples, seed, level, "ratio")


def paired_difference(
    a: Values,
    b: Values,
    groups: Groups | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference:
    """Mean of `a - b` over pairs measured on the same item: an effect against its control.

    Args:
        a, b: (n,) numbers or booleans; two boolean inputs also get McNemar's exact test (McNemar
            1947, Psychometrika 12:153, with the binomial distribution).
        groups: (n,) the image of each pair; by default each pair is its own group.

    Raises:
        InputError: a NaN or an infinity (names the index), or other lengths.
    """
    first, second = numbers(a, "a"), numbers(b, "b")
    if first.size != second.size:
        raise InputError(f"{first.size} values in a, {second.size} in b; expected pairs")
    change = first - second
    over = _ratio(change, np.ones_like(change), groups, n_resamples, seed, level, "mean difference")
    mcnemar_p = only_a = only_b = None
    if is_boolean(a) and is_boolean(b):
        only_a, only_b = int((change > 0).sum()), int((change < 0).sum())
        mcnemar_p = _mcnemar(only_a, only_b) if over.n else math.nan
    return PairedDifference(
        **vars(over),
        p=_sign_flip(change, groups, n_resamples, seed),
        mcnemar_p=mcnemar_p,
        only_a=only_a,
        only_b=only_b,
    )


def _ratio(
    top: np.ndarray,
    bottom: np.ndarray,
    groups: Groups | None,
    n_resamples: int,
    seed: int,
    level: float,
    what: str,
) -> Interval:
    check_level(level)
    check_resamples(n_resamples)
    number, n_groups = group_numbers(groups, top.size)
    method = f"{what}, cluster bootstrap, {n_resamples} resamples, seed {seed}"
    nan = math.nan
    if not top.size:
        return Interval(nan, nan, nan, 0, 0, level, method, "no items")
    if not bottom.sum():
        reason = "the denominator is 0"
        return Interval(nan, nan, nan, top.size, n_groups, level, method, reason)
    value = float(top.sum() / bottom.sum())
    if n_groups == 1:
        reason = "one group only: nothing to resample"
        return Interval(value, nan, nan, top.size, 1, level, method, reason)
    tops = np.bincount(number, top, n_groups)
    bottoms = np.bincount(number, bottom, n_groups)
    sums = np.concatenate(
        [
            weights @ np.stack([tops, bottoms], 1)
            for weights in resample_weights(n_groups, n_resamples, seed)
        ]
    )
    valid = sums[:, 1] > 0
    undefined = n_resamples - int(valid.sum())
    reason = f"{undefined} of {n_resamples} resamples undefined" if undefined else None
    if undefined == n_resamples:
        return Interval(value, nan, nan, top.size, n_groups, level, method, reason)
    ratios = sums[valid, 0] / sums[valid, 1]
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), top.size, n_groups, level, method, reason)


def resample_weights(n_groups: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Chunks of (resamples, n_groups): how often each group is drawn."""
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


def _sign_flip(change: np.ndarray, groups: Groups | None, n_resamples: int, seed: int) -> float:
    number, n_groups = group_numbers(groups, change.size)
    if not change.size:
        return math.nan
    sums = np.bincount(number, change, n_groups)
    observed = abs(sums.sum())
    # Sums that differ by rounding only are ties; a tie counts as "at least as large".
    limit = observed - 1e-9 * max(1e-300, float(np.abs(sums).sum()))
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // n_groups)
    hits = 0
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        signs = generator.integers(0, 2, size=(rows, n_groups), dtype=np.int8) * 2.0 - 1
        hits += int((np.abs(signs @ sums) >= limit).sum())
    return (hits + 1) / (n_resamples + 1)


def _mcnemar(only_a: int, only_b: int) -> float:
    if only_a + only_b == 0:
        return 1.0
    # Here, so that intervals alone do not wait for all of scipy.stats.
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue)
