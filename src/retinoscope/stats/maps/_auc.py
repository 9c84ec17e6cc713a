"""Areas under the ROC curve, each as a Mann-Whitney statistic with half credit for ties.

The probability that the map is higher at a fixated pixel than at one of the negatives. Nothing is
jittered, thresholded or drawn at random: a constant map scores exactly 0.5, and results are
deterministic.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from ...arguments import checked
from ._check import Fixations, Map, Others, constant, fit, map_of, pixels
from ._resample import Resize
from ._types import MapScore, undefined


@checked
def mann_whitney(
    positives: Float[np.ndarray, " positive"], negatives: Float[np.ndarray, " negative"]
) -> float:
    """P(positive > negative) + P(positive = negative) / 2 over all pairs.

    NaN without a positive or without a negative.
    """
    from scipy.stats import rankdata

    n, m = len(positives), len(negatives)
    if not n or not m:
        return float("nan")
    ranks = rankdata(np.concatenate([positives, negatives]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


@checked
def auc_judd(predicted: Map, fixations: Fixations, *, repeats: bool = False) -> MapScore:
    """Fixated pixels against all others.

    Args:
        fixations: (n, 2) x and y in pixels, or a boolean map.
        repeats: count a pixel fixated twice as two positives; by default as one, as in the MIT
            benchmark's code.

    Raises:
        InputError: NaN, infinity, or a fixation outside the map.

    Source: Judd et al. 2009 (ICCV); Bylinskii et al. 2019, section 3.1.1. Their code spaces
    thresholds at the fixated values and jitters ties; this is the exact area.
    """
    values, fixated, settings = _read(predicted, fixations, repeats)
    others = np.ones(values.size, bool)
    others[fixated] = False
    return _score("auc_judd", values.ravel()[fixated], values.ravel()[others], settings)


@checked
def auc_borji(predicted: Map, fixations: Fixations, *, repeats: bool = True) -> MapScore:
    """Fixations against pixels drawn uniformly from the whole map.

    The original averages over 100 random draws of as many negatives as there are fixations; this is
    the limit of that average, with every pixel as a negative once.

    Raises:
        InputError: see `auc_judd`.

    Source: Borji et al. 2013 (TIP 22:55); Bylinskii et al. 2019, section 3.1.2.
    """
    values, fixated, settings = _read(predicted, fixations, repeats)
    return _score("auc_borji", values.ravel()[fixated], values.ravel(), settings)


@checked
def auc_shuffled(
    predicted: Map, fixations: Fixations, others: Others, *, repeats: bool = True
) -> MapScore:
    """Fixations against those of other images, laid on this map: what all images share, such as a
    centre bias, earns nothing.

    Args:
        others: (m, 2) fixations of other images, in pixels of this map; all of them are negatives
            (the original draws subsets 100 times, which tends to the same).

    Raises:
        InputError: see `auc_judd`, for either set.

    Source: Zhang et al. 2008 (Journal of Vision 8(7):32); Bylinskii et al. 2019, section 3.1.3.
    """
    values, fixated, settings = _read(predicted, fixations, repeats)
    negatives = pixels(others, values.shape, repeats=True, name="fixations of other images")
    if not negatives.size:
        return undefined("auc_shuffled", "no fixation of another image", fixated.size, settings)
    return _score("auc_shuffled", values.ravel()[fixated], values.ravel()[negatives], settings)


@checked
def auc_region(
    predicted: Map,
    region: Bool[np.ndarray, "reference_height reference_width"],
    *,
    resize: Resize | None = None,
) -> MapScore:
    """The pixels of a region, such as a density above a threshold, against all others.

    Raises:
        InputError: NaN, infinity, sizes that differ, or a region that is not boolean.
    """
    values, settings = fit(map_of(predicted, "the map"), region.shape, resize)
    values = _without_rounding(values)
    if not region.any() or region.all():
        reason = "every pixel is in the region" if region.any() else "the region is empty"
        return undefined("auc_region", reason, int(region.sum()), settings)
    return _score("auc_region", values[region], values[~region], settings)


def _read(
    predicted: Map, fixations: Fixations, repeats: bool
) -> tuple[Map, np.ndarray, dict[str, str | int | float | bool]]:
    values = _without_rounding(map_of(predicted, "the map"))
    fixated = pixels(fixations, values.shape, repeats=repeats, name="fixations")
    return values, fixated, {"repeats": repeats}


def _without_rounding(values: Map) -> Map:
    """Flattens a constant map, so that the order of its rounding errors does not count."""
    return np.zeros_like(values) if constant(values) else values


def _score(
    metric: str,
    positives: np.ndarray,
    negatives: np.ndarray,
    settings: dict[str, str | int | float | bool],
) -> MapScore:
    if not len(positives):
        return undefined(metric, "no fixation", 0, settings)
    if not len(negatives):
        return undefined(metric, "every pixel is fixated", len(positives), settings)
    return MapScore(metric, mann_whitney(positives, negatives), len(positives), settings)
