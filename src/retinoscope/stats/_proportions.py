"""Shares: Wilson intervals and Cohen's h."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from retinoscope.arguments import checked
from retinoscope.errors import InputError
from retinoscope.stats._check import Groups, Values, check_level, numbers
from retinoscope.stats._clusters import cluster_share, score_ends
from retinoscope.stats._types import EffectSize, Interval


@checked
def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share of independent items (Wilson 1927, JASA 22:209).

    Unlike the normal interval it stays within 0 and 1, and has a width at 0 and n successes.

    Raises:
        InputError: not integers, or not 0 <= successes <= n.
    """
    check_level(level)
    if not 0 <= successes <= n:
        raise InputError(f"expected integers with 0 <= successes <= n, got {successes} and {n}")
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, 0, level, "Wilson", "no items")
    low, high = score_ends(successes / n, n, float(ndtri((1 + level) / 2)))
    return Interval(successes / n, low, high, n, n, level, "Wilson", size=n, freedom=math.inf)


@checked
def proportion(values: Values, groups: Groups | None = None, level: float = 0.95) -> Interval:
    """Share of true items: `cluster_share` for single items.

    Args:
        values: (n,) booleans, or 0 and 1.
        groups: (n,) the image of each item.

    Raises:
        InputError: anything but 0 and 1 (names the index), or lengths that differ.
    """
    hits = numbers(values, "values")
    bad = np.flatnonzero((hits != 0) & (hits != 1))
    if bad.size:
        raise InputError(f"values[{bad[0]}] is {hits[bad[0]]}; expected booleans, or 0 and 1")
    return cluster_share(hits, None, groups, level)


@checked
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
    # Rounded, so that a difference of exactly one threshold is not lost to the last bit of asin.
    size = next((name for limit, name in steps if round(abs(value), 12) < limit), "large")
    return EffectSize(value, size, "Cohen's h")
