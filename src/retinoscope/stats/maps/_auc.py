"""Areas under the ROC curve, each as a Mann-Whitney statistic with half credit for ties.

The probability that the map is higher at a fixated pixel than at one of the negatives. Nothing is
jittered, thresholded or drawn at random: a constant map is at 0.5 exactly, and the same input gives
the same number.
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
def auc_judd(ours: Map, fixations: Fixations, *, repeats: bool = False) -> MapScore:
    """Fixated pixels against all others.

    Args:
        fixations: (n, 2) x and y in pixels, or a boolean map.
        repeats: a pixel that is fixated twice is two positives; by default one, as in the MIT
            benchmark's code.

    Raises:
        InputError: NaN, infinity, or a fixation outside the map.

    Source: Judd et al. 2009 (ICCV); Bylinskii et al. 2019, section 3.1.1. Their code spaces
    thresholds at the fixated values and jitters ties; this is the area without either.
    """
    values, at, settings = _read(ours, fixations, repeats)
    rest = np.ones(values.size, bool)
    rest[at] = False
    return _score("auc_judd", values.ravel()[at], values.ravel()[rest], settings)


@checked
def auc_borji(ours: Map, fixations: Fixations, *, repeats: bool = True) -> MapScore:
    """Fixations against pixels drawn uniformly from the whole map.

    The original averages over 100 random draws of as many negatives as there are fixations; this is
    what that average tends to, with every pixel as a negative once.

    Raises:
        InputError: as `auc_judd`.

    Source: Borji et al. 2013 (TIP 22:55); Bylinskii et al. 2019, section 3.1.2.
    """
    values, at, settings = _read(ours, fixations, repeats)
    return _score("auc_borji", values.ravel()[at], values.ravel(), settings)


@checked
def auc_shuffled(
    ours: Map, fixations: Fixations, others: Others, *, repeats: bool = True
) -> MapScore:
    """Fixations against those of other images, laid on this map: what all images share, such as a
    bias to the centre, earns nothing.

    Args:
        others: (m, 2) fixations of other images, in pixels of this map; all of them are negatives
            (the original draws some of them 100 times, which tends to the same).

    Raises:
        InputError: as `auc_judd`, for either set.

    Source: Zhang et al. 2008 (Journal of Vision 8(7):32); Bylinskii et al. 2019, section 3.1.3.
    """
    values, at, settings = _read(ours, fixations, repeats)
    away = pixels(others, values.shape, repeats=True, name="fixations of other images")
    if not away.size:
        return undefined("auc_shuffled", "no fixation of another image", at.size, settings)
    return _score("auc_shuffled", values.ravel()[at], values.ravel()[away], settings)


@checked
def auc_region(
    ours: Map,
    region: Bool[np.ndarray, "reference_height reference_width"],
    *,
    resize: Resize | None = None,
) -> MapScore:
    """The pixels of a region against all others, such as a density above a threshold.

    Raises:
        InputError: NaN, infinity, two sizes, or a region that is not boolean.
    """
    values, settings = fit(map_of(ours, "the map"), region.shape, resize)
    values = _levelled(values)
    if not region.any() or region.all():
        reason = "every pixel is in the region" if region.any() else "the region is empty"
        return undefined("auc_region", reason, int(region.sum()), settings)
    return _score("auc_region", values[region], values[~region], settings)


def _read(
    ours: Map, fixations: Fixations, repeats: bool
) -> tuple[Map, np.ndarray, dict[str, str | int | float | bool]]:
    values = _levelled(map_of(ours, "the map"))
    at = pixels(fixations, values.shape, repeats=repeats, name="fixations")
    return values, at, {"repeats": repeats}


def _levelled(values: Map) -> Map:
    """A constant map without its rounding, whose order would count as if it meant something."""
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
