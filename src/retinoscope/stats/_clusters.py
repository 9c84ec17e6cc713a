"""Means, ratios and shares over images: items of one image are not independent, images are.

The standard error comes from the jackknife over images. Student's t has as many degrees of freedom
as images of equal size would have (Kish). A share gets Wilson's interval with the sample size that
its standard error corresponds to, which also covers near 0 and 1 (Korn and Graubard 1998, Survey
Methodology 24:193; Dean and Pagano 2015, J. Surv. Stat. Methodol. 3:484). `benchmarks/coverage.py`
measures the coverage of these intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Real
from scipy.special import ndtri, stdtrit

from retinoscope.arguments import checked
from retinoscope.errors import InputError
from retinoscope.stats._check import Groups, Values, check_level, group_numbers, numbers
from retinoscope.stats._types import Interval

_ROUNDED = 1e-5
"""How far above 1 a share may lie because it was computed in float32."""
_FLAT = 1e-12
"""Standard errors below this fraction of the estimate are rounding error."""


@dataclass(frozen=True)
class Spread:
    """A ratio of sums over groups, with its standard error.

    Attributes:
        value: sum of numerators over sum of denominators; NaN where the latter is 0.
        error: the jackknife standard error over groups; NaN with fewer than two groups.
        freedom: degrees of freedom: the equivalent number of groups of equal size, minus 1.
        n_groups: the number of groups whose denominator is not 0.
    """

    value: float
    error: float
    freedom: float
    n_groups: int


def spread_of(top: Real[np.ndarray, " group"], bottom: Real[np.ndarray, " group"]) -> Spread:
    """Returns the ratio of sums with its `Spread`, from each group's sums."""
    used = bottom > 0
    top, bottom = top[used], bottom[used]
    n, total = len(top), bottom.sum()
    if not n:
        return Spread(math.nan, math.nan, math.nan, 0)
    value = float(top.sum() / total)
    if n == 1:
        return Spread(value, math.nan, math.nan, 1)
    weight = bottom / total
    # How far the ratio moves when one group is left out.
    moves = (top - value * bottom) / (total - bottom)
    error = math.sqrt((n - 1) / n * float((moves**2).sum()))
    if error <= _FLAT * abs(value):
        error = 0.0
    return Spread(value, error, max(1 / float((weight**2).sum()) - 1, 1.0), n)


@checked
def cluster_mean(values: Values, groups: Groups | None = None, level: float = 0.95) -> Interval:
    """Mean over items, with Student's interval over groups.

    For values between 0 and 1, `cluster_share` has better coverage.

    Args:
        values: (n,) numbers or booleans.
        groups: (n,) the image of each item; by default each item is its own group.

    Raises:
        InputError: NaN or infinity (names the index), or lengths that differ.
    """
    items = numbers(values, "values")
    return _student("mean", items, np.ones_like(items), groups, level)


@checked
def cluster_ratio(
    numerator: Values, denominator: Values, groups: Groups | None = None, level: float = 0.95
) -> Interval:
    """Sum of numerators over sum of denominators, with Student's interval over groups.

    Where no numerator exceeds its denominator, `cluster_share` has better coverage.

    Args:
        numerator, denominator: (n,) numbers or booleans.
        groups: (n,) the image of each item; by default each item is its own group.

    Raises:
        InputError: NaN, infinity or a negative denominator (names the index), or lengths that
            differ.
    """
    return _student("ratio", *_fraction(numerator, denominator), groups, level)


@checked
def cluster_share(
    hits: Values, totals: Values | None = None, groups: Groups | None = None, level: float = 0.95
) -> Interval:
    """Share of hits in the total, with Wilson's interval for the effective sample size.

    That size is value * (1 - value) / error^2, for counts at most their number. Where all items
    agree it cannot be estimated, and the number of groups takes its place (the items of a group may
    be repetitions of one observation).

    Args:
        hits: (n,) between 0 and the item's total: counts, booleans, or values such as an overlap.
        totals: (n,) numbers; 1 each by default.
        groups: (n,) the image of each item; by default each item is its own group.

    Raises:
        InputError: NaN, infinity or hits outside 0 to the total (names the index), or lengths that
            differ.
    """
    top = numbers(hits, "hits")
    top, bottom = _fraction(top, np.ones_like(top) if totals is None else totals)
    bad = np.flatnonzero((top < -_ROUNDED) | (top > bottom * (1 + _ROUNDED)))
    if bad.size:
        raise InputError(
            f"hits[{bad[0]}] is {top[bad[0]]:.7g} of {bottom[bad[0]]:.7g}; expected 0 to the total"
        )
    check_level(level)
    top = np.clip(top, 0, bottom)
    number, n_groups = group_numbers(groups, top.size)
    spread = spread_of(np.bincount(number, top, n_groups), np.bincount(number, bottom, n_groups))
    method = "share, Wilson with the effective number of items"
    undefined = _undefined(spread, top.size, n_groups, level, method)
    if undefined is not None:
        return undefined
    counted = bool((top == np.floor(top)).all())
    whole = float(bottom.sum()) if counted else math.inf
    reason, size, freedom = None, whole, spread.freedom
    if top.sum() in (0, bottom.sum()):
        size = spread.freedom + 1
        reason = "all items agree: the number of groups is taken as the sample size"
    elif spread.error:
        size = min(whole, spread.value * (1 - spread.value) / spread.error**2)
    if number.size == n_groups and counted and (bottom == 1).all():
        # Independent items: no correlation within groups has to be estimated.
        method, size, reason = "Wilson", whole, None
        freedom = math.inf
    low, high = score_ends(spread.value, size, quantile_of(freedom, level))
    return Interval(
        spread.value,
        low,
        high,
        top.size,
        n_groups,
        level,
        method,
        reason,
        size=size,
        freedom=freedom,
    )


@checked
def quantile_of(freedom: float, level: float) -> float:
    """Half the width of an interval at `level`, in standard errors."""
    return float(
        ndtri((1 + level) / 2) if math.isinf(freedom) else stdtrit(freedom, (1 + level) / 2)
    )


@checked
def score_ends(share: float, size: float, quantile: float) -> tuple[float, float]:
    """The ends of Wilson's interval (Wilson 1927, JASA 22:209)."""
    part = quantile**2 / size
    centre = (share + part / 2) / (1 + part)
    half = quantile * math.sqrt(share * (1 - share) / size + part / (4 * size)) / (1 + part)
    # At 0 and 1 the formula is exact only up to rounding.
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high


def _fraction(numerator: Values, denominator: Values) -> tuple[np.ndarray, np.ndarray]:
    top, bottom = numbers(numerator, "numerator"), numbers(denominator, "denominator")
    if top.size != bottom.size:
        raise InputError(f"{top.size} numerators and {bottom.size} denominators; expected as many")
    bad = np.flatnonzero(bottom < 0)
    if bad.size:
        raise InputError(f"denominator[{bad[0]}] is {bottom[bad[0]]}; expected 0 or more")
    return top, bottom


def _student(
    what: str, top: np.ndarray, bottom: np.ndarray, groups: Groups | None, level: float
) -> Interval:
    check_level(level)
    number, n_groups = group_numbers(groups, top.size)
    spread = spread_of(np.bincount(number, top, n_groups), np.bincount(number, bottom, n_groups))
    method = f"{what}, Student's t over groups"
    undefined = _undefined(spread, top.size, n_groups, level, method)
    if undefined is not None:
        return undefined
    half = quantile_of(spread.freedom, level) * spread.error
    return Interval(
        spread.value,
        spread.value - half,
        spread.value + half,
        top.size,
        n_groups,
        level,
        method,
        freedom=spread.freedom,
    )


def _undefined(spread: Spread, n: int, n_groups: int, level: float, method: str) -> Interval | None:
    if spread.n_groups > 1:
        return None
    reason = "one group only: nothing shows how groups differ"
    if not n:
        reason = "no items"
    elif not spread.n_groups:
        reason = "the denominator is 0"
    return Interval(spread.value, math.nan, math.nan, n, n_groups, level, method, reason)
