"""The paired test: an effect against its control on the same images.

Under the null hypothesis the difference of each image is as likely to have the opposite sign. The
test flips signs (Fisher's randomisation test), and the interval holds the differences that the same
flips would not reject: the means of random halves of the images, Hartigan's typical values
(Hartigan 1969, JASA 64:1303). Interval and p value therefore agree.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Real

from retinoscope.arguments import checked
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
from retinoscope.stats._proportions import wilson
from retinoscope.stats._types import PairedDifference

from .. import arguments

_EXHAUSTIVE = 12
"""Up to this many groups, every choice of signs is tried."""
_CHUNK = 1 << 19
_CACHED = 1 << 25
"""The largest number of signs kept for the next test, at a byte each."""


@checked
def paired_difference(
    a: Values,
    b: Values,
    groups: Groups | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    sizes: Values | None = None,
) -> PairedDifference:
    """Mean of `a - b` over pairs measured on the same item; `significant` is the verdict.

    Args:
        a, b: (n,) numbers or booleans; if both are boolean and each group is one pair, McNemar's
            exact test is computed too (McNemar 1947, Psychometrika 12:153, with the binomial
            distribution).
        groups: (n,) the image of each pair; by default each pair is its own group.
        n_resamples: the number of random choices of signs; up to 12 groups, all are tried.
        sizes: (n,) the number of terms in each of a and b where these are sums; the result is then
            the difference of the overall ratios.

    Raises:
        InputError: NaN or infinity (names the index), or lengths that differ.
    """
    first, second = numbers(a, "a"), numbers(b, "b")
    if first.size != second.size:
        raise InputError(f"{first.size} values in a, {second.size} in b; expected pairs")
    check_level(level)
    check_resamples(n_resamples)
    change = first - second
    number, n_groups = group_numbers(groups, change.size)
    sums = np.bincount(number, change, n_groups)
    counts = np.ones_like(change) if sizes is None else numbers(sizes, "sizes")
    if counts.size != change.size or (counts <= 0).any():
        raise InputError("expected a size above 0 for each pair")
    whole = np.bincount(number, counts, n_groups)
    value, low, high, p, reason = _tested(sums, whole, n_resamples, seed, level)
    if reason is None and low == high and all(np.isin(x, (0, 1)).all() for x in (first, second)):
        # The groups do not show how far others may be from what all of these agree on.
        width = wilson(0, n_groups, level).high
        low, high = max(-1.0, value - width), min(1.0, value + width)
        reason = "all groups agree: bounded by Wilson's interval for their number"
    mcnemar_p = only_a = only_b = None
    if is_boolean(a) and is_boolean(b):
        only_a, only_b = int((change > 0).sum()), int((change < 0).sum())
        if n_groups == change.size:
            mcnemar_p = _mcnemar(only_a, only_b) if n_groups else math.nan
    n_signs = 2**n_groups if n_groups <= _EXHAUSTIVE else n_resamples
    return PairedDifference(
        value,
        low,
        high,
        change.size,
        n_groups,
        level,
        f"mean difference, sign flips over groups, {n_signs} choices",
        reason,
        p=p,
        mcnemar_p=mcnemar_p,
        only_a=only_a,
        only_b=only_b,
    )


def _tested(
    sums: Real[np.ndarray, " group"],
    sizes: Real[np.ndarray, " group"],
    n_resamples: int,
    seed: int,
    level: float,
) -> tuple[float, float, float, float, str | None]:
    """Returns the value, both ends of the interval, p and a reason."""
    nan, n_groups = math.nan, len(sums)
    if not n_groups:
        return nan, nan, nan, nan, "no items"
    value = float(sums.sum() / sizes.sum())
    exact = n_groups <= _EXHAUSTIVE
    halves = np.concatenate(
        [half @ np.stack([sums, sizes], 1) for half in _halves(n_groups, n_resamples, seed)]
    )
    # The sum with flipped signs is the whole minus twice what is flipped. Sums that differ only by
    # rounding are ties, and a tie counts as "at least as large".
    slack = 1e-9 * max(1e-300, float(np.abs(sums).sum()))
    hits = int((np.abs(sums.sum() - 2 * halves[:, 0]) >= abs(sums.sum()) - slack).sum())
    p = hits / len(halves) if exact else (hits + 1) / (len(halves) + 1)
    square = float((sums**2).sum())
    if square:
        # Hoeffding's bound on the same tail, for p values smaller than the draws can resolve.
        bound = 2 * math.exp(-float(sums.sum() ** 2) / (2 * square))
        p = min(p, max(bound, 2.0 ** max(1 - n_groups, -1000)))
    low, high = _typical(halves, sums, sizes, exact, level)
    if math.isinf(low) or math.isinf(high):
        reason = f"{n_groups} groups are too few for a test at {level:.0%} to reject"
        return value, nan, nan, p, reason
    return value, low, high, p, None


def _typical(
    halves: Float[np.ndarray, "draw 2"],
    sums: Float[np.ndarray, " group"],
    sizes: Float[np.ndarray, " group"],
    exact: bool,
    level: float,
) -> tuple[float, float]:
    rest = np.array([sums.sum(), sizes.sum()]) - halves
    low, high = [], []
    for part in (halves, rest):
        empty = part[:, 1] <= 0
        means = np.divide(part[:, 0], part[:, 1], out=np.zeros(len(part)), where=~empty)
        low.append(np.where(empty, -np.inf, means))
        high.append(np.where(empty, np.inf, means))
    least = (1 - level) * len(halves) if exact else (1 - level) * (len(halves) + 1) - 1
    # The k-th smallest is the first difference whose p value is not below 1 - level.
    k = max(1, math.ceil(least - 1e-9))
    below, above = np.concatenate(low), np.concatenate(high)
    return (
        float(np.partition(below, k - 1)[k - 1]),
        float(np.partition(above, len(above) - k)[len(above) - k]),
    )


def _halves(n_groups: int, n_resamples: int, seed: int):
    """Yields chunks of (draws, n_groups): 1 where a group's sign is flipped, else 0.

    Raises:
        InputError: a seed below 0.
    """
    arguments.seed(seed)
    if n_groups <= _EXHAUSTIVE:
        chunks = [np.arange(2**n_groups)[:, None] >> np.arange(n_groups) & 1]
    elif n_groups * n_resamples > _CACHED:
        chunks = _flips(n_groups, n_resamples, seed)
    else:
        # Most conditions of a study share their images.
        chunks = _cached_flips(n_groups, n_resamples, seed)
    for chunk in chunks:
        yield chunk.astype(np.float64)


@lru_cache(maxsize=1)
def _cached_flips(n_groups: int, n_resamples: int, seed: int) -> list[np.ndarray]:
    return list(_flips(n_groups, n_resamples, seed))


def _flips(n_groups: int, n_resamples: int, seed: int):
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // n_groups)
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        yield generator.integers(0, 2, size=(rows, n_groups), dtype=np.int8)


def _mcnemar(only_a: int, only_b: int) -> float:
    if only_a + only_b == 0:
        return 1.0
    # Imported here so that intervals do not load all of scipy.stats.
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue)
