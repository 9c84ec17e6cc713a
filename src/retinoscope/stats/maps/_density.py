"""Maps as distributions over pixels: overlap, divergence, information gain."""

from __future__ import annotations

import numpy as np

from ...arguments import checked
from ...errors import InputError
from ._check import Fixations, Map, Negatives, ReferenceMap, constant, density, pair, pixels
from ._resample import Resize
from ._types import MapScore, undefined

EPSILON = 2.2e-16
"""Keeps logarithms finite; as in the MIT benchmark's code."""


@checked
def similarity(
    predicted: Map,
    reference: ReferenceMap,
    *,
    negatives: Negatives = "refuse",
    resize: Resize | None = None,
) -> MapScore:
    """SIM: the overlap of two densities, the sum over pixels of the smaller of both.

    0 to 1, 1 for equal maps. The maps are taken as densities; the MIT benchmark's code first
    rescales them by minimum and maximum, which is `similarity_mit`. A constant positive map is the
    uniform density. Undefined where a map adds up to 0.

    Args:
        negatives: "refuse", "clip" to 0, or "shift" up by the minimum.

    Raises:
        InputError: NaN, infinity, sizes that differ, or negative values that are refused.

    Source: Judd et al. 2012 (MIT-CSAIL-TR-2012-001); Bylinskii et al. 2019, section 3.2.2.
    """
    first, second, settings = pair(predicted, reference, resize)
    p, q = _both(first, second, negatives, settings)
    if p is None or q is None:
        return undefined("sim", _empty(p), first.size, settings)
    return MapScore("sim", float(np.minimum(p, q).sum()), first.size, settings)


@checked
def similarity_mit(
    predicted: Map, reference: ReferenceMap, *, resize: Resize | None = None
) -> MapScore:
    """SIM as computed by the MIT benchmark's code, which first rescales both maps to 0 to 1 by
    minimum and maximum and so removes a constant offset; see `similarity`.

    Undefined where a map is constant.

    Raises:
        InputError: NaN, infinity, or sizes that differ.

    Source: similarity.m of the MIT/Tuebingen saliency benchmark.
    """
    first, second, settings = pair(predicted, reference, resize)
    p, q = _stretched(first), _stretched(second)
    if p is None or q is None:
        return undefined("sim_mit", _flat(p), first.size, settings)
    return MapScore("sim_mit", float(np.minimum(p, q).sum()), first.size, settings)


@checked
def kl(
    predicted: Map,
    reference: ReferenceMap,
    *,
    negatives: Negatives = "refuse",
    resize: Resize | None = None,
) -> MapScore:
    """Kullback-Leibler divergence of the map from the reference, in nats; 0 for equal maps.

    sum over pixels of H log(eps + H / (S + eps)), eps = 2.2e-16: asymmetric, with a heavy penalty
    for a map that is near 0 where people looked.

    Raises:
        InputError: see `similarity`.

    Source: Bylinskii et al. 2019, section 3.2.4.
    """
    first, second, settings = pair(predicted, reference, resize)
    s, h = _both(first, second, negatives, settings)
    if s is None or h is None:
        return undefined("kl", _empty(s), first.size, settings)
    value = float((h * np.log(EPSILON + h / (s + EPSILON))).sum())
    return MapScore("kl", value, first.size, settings)


@checked
def information_gain(
    predicted: Map,
    fixations: Fixations,
    baseline: Map,
    *,
    repeats: bool = True,
    negatives: Negatives = "refuse",
) -> MapScore:
    """Bits per fixation by which the map predicts fixations better than a baseline.

    mean over fixations of log2(S + eps) - log2(B + eps), both as densities; 0 for the baseline. The
    MIT benchmark's code first rescales both by minimum and maximum: `information_gain_mit`.

    Args:
        baseline: (H, W), such as a centre prior.
        repeats: count a pixel fixated twice as two.

    Raises:
        InputError: see `similarity`, and a fixation outside the map.

    Source: Kuemmerer et al. 2015 (PNAS 112:16054); Bylinskii et al. 2019, section 3.2.5.
    """
    first, second, settings = pair(predicted, baseline, None)
    at = pixels(fixations, first.shape, repeats=repeats, name="fixations")
    settings["repeats"] = repeats
    s, b = _both(first, second, negatives, settings)
    if s is None or b is None:
        reason = "the map adds up to 0" if s is None else "the baseline adds up to 0"
        return undefined("information_gain", reason, at.size, settings)
    return _mean_gain("information_gain", s, b, at, settings)


@checked
def information_gain_mit(predicted: Map, fixations: Fixations, baseline: Map) -> MapScore:
    """Information gain as computed by the MIT benchmark's code: map and baseline are first rescaled
    to 0 to 1 by minimum and maximum, and a pixel fixated twice counts once; see `information_gain`.

    Undefined where a map is constant. A fixation at the map's minimum costs log2 of eps, some 50
    bits.

    Raises:
        InputError: NaN, infinity, sizes that differ, or a fixation outside the map.

    Source: InfoGain.m of the MIT/Tuebingen saliency benchmark.
    """
    first, second, settings = pair(predicted, baseline, None)
    at = pixels(fixations, first.shape, repeats=False, name="fixations")
    settings["repeats"] = False
    s, b = _stretched(first), _stretched(second)
    if s is None or b is None:
        reason = "the map is constant" if s is None else "the baseline is constant"
        return undefined("information_gain_mit", reason, at.size, settings)
    return _mean_gain("information_gain_mit", s, b, at, settings)


def _mean_gain(
    name: str,
    predicted: Map,
    baseline: Map,
    at: np.ndarray,
    settings: dict[str, str | int | float | bool],
) -> MapScore:
    """Mean gain over the baseline at the fixated pixels, in bits."""
    if not at.size:
        return undefined(name, "no fixation", 0, settings)
    gains = np.log2(predicted.ravel()[at] + EPSILON) - np.log2(baseline.ravel()[at] + EPSILON)
    return MapScore(name, float(gains.mean()), at.size, settings)


@checked
def equal_area_iou(
    predicted: Map, reference: ReferenceMap, *, threshold: float = 0.5, resize: Resize | None = None
) -> MapScore:
    """Intersection over union of the reference's region and an equally large region of the map.

    The region is where the reference reaches `threshold` of its maximum. Ties at the border of the
    map's region each count in part, so that both regions have the same area.

    Raises:
        InputError: NaN, infinity, sizes that differ, a threshold outside 0 to 1, or a negative
            reference.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"expected a threshold above 0 and up to 1, got {threshold}")
    first, second, settings = pair(predicted, reference, resize)
    settings["threshold"] = threshold
    if second.min() < 0:
        raise InputError("expected a reference map without negative values")
    if not second.max() > 0:
        return undefined("iou", "the reference map is all zero", first.size, settings)
    inside = second >= threshold * second.max()
    n = int(inside.sum())
    border = np.partition(first.ravel(), first.size - n)[first.size - n]
    above, tied = first > border, first == border
    share = (n - int(above.sum())) / int(tied.sum())
    hit = float((above & inside).sum() + share * (tied & inside).sum())
    return MapScore("iou", hit / (2 * n - hit), n, settings)


def _both(
    first: Map, second: Map, negatives: Negatives, settings: dict[str, str | int | float | bool]
) -> tuple[Map | None, Map | None]:
    predicted = density(first, "the map", negatives, settings)
    return predicted, density(second, "the reference map", "refuse", settings)


def _stretched(values: Map) -> Map | None:
    """The map with its minimum moved to 0, adding up to 1; None for a constant map."""
    if constant(values):
        return None
    raised = values - values.min()
    return raised / raised.sum()


def _flat(predicted: Map | None) -> str:
    return "the map is constant" if predicted is None else "the reference map is constant"


def _empty(predicted: Map | None) -> str:
    return "the map adds up to 0" if predicted is None else "the reference map adds up to 0"
