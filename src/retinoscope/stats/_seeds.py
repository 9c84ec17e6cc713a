"""Intervals over images and seeds: both are resampled, since every seed trains another model."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from retinoscope.arguments import checked
from retinoscope.errors import InputError
from retinoscope.stats._bootstrap import resample_weights
from retinoscope.stats._check import Groups, check_level, group_numbers, numbers
from retinoscope.stats._types import Interval

from .. import arguments

Draws = Float[np.ndarray, "seed draw"]


@checked
def resampled_ratio(
    numerator: Float[np.ndarray, " n"],
    denominator: Float[np.ndarray, " n"],
    groups: Groups,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Float[np.ndarray, " draw"]:
    """Sum of numerators over sum of denominators in each resample of the groups (images).

    The same groups give the same resamples, which pairs two models on the same images.

    Raises:
        InputError: lengths that differ, or numbers that are not finite.
    """
    top, bottom = numbers(numerator, "numerator"), numbers(denominator, "denominator")
    number, n_groups = group_numbers(groups, len(top))
    sums = np.stack([np.bincount(number, part, n_groups) for part in (top, bottom)], 1)
    drawn = np.concatenate([w @ sums for w in resample_weights(n_groups, n_resamples, seed)])
    top, bottom = drawn.T
    return np.divide(top, bottom, out=np.full(len(drawn), np.nan), where=bottom > 0)


@checked
def over_seeds(
    values: Float[np.ndarray, " seed"],
    draws: Draws,
    n_groups: int,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The mean over seeds, with a percentile interval over resampled images and seeds.

    For a difference, pass each seed's difference. Undefined resamples (NaN) are left out and
    counted in `reason`; a seed without an estimate makes the result undefined. With few seeds the
    interval is coarse: of three seeds, one resample in nine holds a single one three times.

    Args:
        values: (seeds,) each seed's estimate on all images.
        draws: (seeds, resamples) each seed's estimate on each resample of the images; the
            resamples are the same for all seeds.
        n_groups: the number of images.

    Raises:
        InputError: lengths that differ, or a seed below 0.
    """
    arguments.seed(seed)
    check_level(level)
    if draws.ndim != 2 or draws.shape[0] != len(values):
        raise InputError(f"expected draws of {len(values)} seeds, got {draws.shape}")
    n_seeds, n_draws = draws.shape
    nan = math.nan
    method = f"bootstrap over images and {n_seeds} seeds, {n_draws} resamples, seed {seed}"
    value = float(np.mean(values)) if n_seeds else nan
    if n_seeds < 2:
        reason = "one seed only: only images are resampled" if n_seeds else "no seeds"
        picked = draws[0] if n_seeds else np.zeros(0)
    else:
        reason = None
        chosen = np.random.default_rng(seed).integers(0, n_seeds, (n_draws, n_seeds))
        picked = draws[chosen, np.arange(n_draws)[:, None]].mean(1)
    if math.isnan(value) and n_seeds:
        undefined = int(np.isnan(values).sum())
        reason = f"the estimate of {undefined} of {n_seeds} seeds is undefined"
        return Interval(nan, nan, nan, n_seeds, n_groups, level, method, reason)
    left_out = int(np.isnan(picked).sum())
    if left_out:
        dropped = f"{left_out} of {n_draws} resamples undefined"
        reason = dropped if reason is None else f"{reason}; {dropped}"
    picked = picked[~np.isnan(picked)]
    if not len(picked):
        return Interval(value, nan, nan, n_seeds, n_groups, level, method, reason)
    low, high = np.quantile(picked, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), n_seeds, n_groups, level, method, reason)
