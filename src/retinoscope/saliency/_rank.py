"""Rank correlation of two values of the same tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from .. import arguments
from ..arguments import checked
from ..errors import InputError
from ..stats import Interval

_LEVEL = 0.95


@dataclass(frozen=True)
class RankCorrelation(Interval):
    """Spearman's rank correlation with an interval over resampled tokens.

    Attributes:
        p: two-sided p-value for no association, by the t distribution; NaN where undefined.
    """

    p: float = math.nan


@checked
def rank_correlation(
    estimates: Float[np.ndarray, " token"],
    exact: Float[np.ndarray, " token"],
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> RankCorrelation:
    """Spearman's correlation of two values of each token, with tied values at their mean rank.

    The tokens belong to one image: the interval shows how the correlation would vary over other
    samples of its tokens, not over images. Resamples in which one side is constant are skipped.

    Args:
        estimates, exact: (n,) NumPy arrays.
        n_resamples: number of resamples of the percentile bootstrap.
        seed: seed of the resamples.

    Raises:
        InputError: the lengths differ, there are fewer than 3 tokens, or a value is not finite.

    Source: Spearman 1904; Efron and Tibshirani 1993, chapter 13.
    """
    arguments.whole(n_resamples, "n_resamples", 1)
    arguments.seed(seed)
    # Imported here, so that importing the room does not load it.
    from scipy import stats

    first, second = np.asarray(estimates, float), np.asarray(exact, float)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(
            f"expected two values of each token, got shapes {first.shape} and {second.shape}"
        )
    n = first.size
    if n < 3:
        raise InputError(f"expected at least 3 tokens to correlate, got {n}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("expected finite values to correlate, got a NaN or an infinity")
    nan = math.nan
    method = f"Spearman, percentile bootstrap over tokens, {n_resamples} resamples, seed {seed}"
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        which = "estimates" if np.ptp(first) == 0 else "exact values"
        return RankCorrelation(nan, nan, nan, n, n, _LEVEL, method, f"all {which} are the same")
    drawn = np.random.default_rng(seed).integers(0, n, (n_resamples, n))
    values = _correlations(first, second, drawn)
    undefined = int(np.isnan(values).sum())
    reason = f"{undefined} of {n_resamples} resamples undefined" if undefined else None
    tails = [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]
    low, high = np.nanquantile(values, tails) if undefined < n_resamples else (nan, nan)
    whole: Any = stats.spearmanr(first, second)
    value, p = float(whole.statistic), float(whole.pvalue)
    return RankCorrelation(value, float(low), float(high), n, n, _LEVEL, method, reason, p=p)


def _correlations(
    first: Float[np.ndarray, " token"],
    second: Float[np.ndarray, " token"],
    drawn: Int[np.ndarray, "resample token"],
) -> Float[np.ndarray, " resample"]:
    """Returns Spearman's correlation of each resample, NaN where one side of it is constant."""
    from scipy import stats

    centred = []
    for values in (first, second):
        ranks = stats.rankdata(values[drawn], axis=1)
        centred.append(ranks - ranks.mean(1, keepdims=True))
    a, b = centred
    spread = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    safe = np.where(spread > 0, spread, 1.0)
    return np.where(spread > 0, (a * b).sum(1) / safe, math.nan)
