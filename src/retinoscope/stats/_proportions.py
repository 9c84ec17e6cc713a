"""Shares: Wilson intervals and Cohen's h."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from retinoscope.errors import InputError
from retinoscope.stats._bootstrap import bootstrap_mean
from retinoscope.stats._check import (
    Groups,
    Values,
    check_level,
    check_resamples,
    group_numbers,
    numbers,
)
from retinoscope.stats._types import EffectSize, Interval


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share of independent items (Wilson 1927, JASA 22:209).

    Unlike the normal interval it stays within 0..1 and has a width at 0 and n successes.

    Raises:
        InputError: no integers, or not 0 <= successes <= n.
    """
    check_level(level)
    if successes != int(successes) or n != int(n) or not 0 <= successes <= n:
        raise InputError(f"expected integers with 0 <= successes <= n, got {successes} and {n}")
    return _score_interval(int(successes), int(n), int(n), level, "Wilson")


def proportion(
    values: Values,
    groups: Groups | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Share of true items, with the interval that suits the data.

    One item per group: Wilson. Several: cluster bootstrap over groups; where all items agree, every
    resample agrees too and the bootstrap would claim certainty, so the interval is Wilson's with
    the number of groups as sample size (items of a group may tell the same thing n times).

    Args:
        values: (n,) booleans, or 0 and 1.
        groups: (n,) the image of each item.

    Raises:
        InputError: anything but 0 and 1, or other lengths; names the index.
    """
    check_level(level)
    check_resamples(n_resamples)
    hits = numbers(values, "values")
    bad = np.flatnonzero((hits != 0) & (hits != 1))
    if bad.size:
        raise InputError(f"values[{bad[0]}] is {hits[bad[0]]}; expected booleans, or 0 and 1")
    _, n_groups = group_numbers(groups, hits.size)
    successes = int(hits.sum())
    if n_groups == hits.size:
        return _score_interval(successes, hits.size, n_groups, level, "Wilson")
    if successes in (0, hits.size):
        return _score_interval(
            successes,
            hits.size,
            n_groups,
            level,
            "Wilson over groups",
            "all items agree: the number of groups is taken as the sample size",
        )
    return bootstrap_mean(hits, groups, n_resamples, seed, level)


def cohens_h(first: float, second: float) -> EffectSize:
    """Cohen's h = 2 asin sqrt(first) - 2 asin sqrt(second) (Cohen 1988, section 6.2).

    An undefined share (NaN, from n = 0) gives an undefined effect.

    Raises:
        InputError: a share outside 0..1.
    """
    for share in (first, second):
        if math.isnan(share):
            return EffectSize(math.nan, "undefined", "Cohen's h", "a share is undefined")
        if not 0 <= share <= 1:
            raise InputError(f"expected shares between 0 and 1, got {first} and {second}")
    value = 2 * math.asin(math.sqrt(first)) - 2 * math.asin(math.sqrt(second))
    steps = [(0.2, "negligible"), (0.5, "small"), (0.8, "medium")]
    # Rounded, so that a difference of exactly one step is not lost to the last bit of asin.
    size = next((name for limit, name in steps if round(abs(value), 12) < limit), "large")
    return EffectSize(value, size, "Cohen's h")


def _score_interval(
    successes: int, n: int, n_groups: int, level: float, method: str, reason: str | None = None
) -> Interval:
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0, level, method, "no items")
    share, size = successes / n, n_groups
    z = float(ndtri((1 + level) / 2))
    centre = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    half /= 1 + z * z / size
    # At the edges the formula gives 0 and 1 up to rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(share, low, high, n, n_groups, level, method, reason)
