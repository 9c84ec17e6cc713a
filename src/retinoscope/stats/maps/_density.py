"""Maps as distributions over pixels: overlap, divergence, information gain."""

from __future__ import annotations

import numpy as np

from ...arguments import checked
from ...errors import InputError
from ._check import Fixations, Map, Negatives, ReferenceMap, constant, density, pair, pixels
from ._resample import Resize
from ._types import MapScore, undefined

EPSILON = 2.2e-16
"""As in the MIT benchmark's code: keeps logarithms finite."""


@checked
def similarity(
    ours: Map,
    theirs: ReferenceMap,
    *,
    negatives: Negatives = "refuse",
    resize: Resize | None = None,
) -> MapScore:
    """SIM: what two densities share, the sum of the smaller of both over pixels.

    0 to 1, 1 for equal maps. The maps are densities as they are; the MIT benchmark's code scales
    them by minimum and maximum first, which is `similarity_mit`. A constant positive map is the
    uniform density. Undefined where a map adds up to 0.

    Args:
        negatives: "refuse", "clip" to 0, or "shift" up by the minimum.

    Raises:
        InputError: NaN, infinity, two sizes, or negative values that were not provided for.

    Source: Judd et al. 2012 (MIT-CSAIL-TR-2012-001); Bylinskii et al. 2019, section 3.2.2.
    """
    first, second, settings = pair(ours, theirs, resize)
    p, q = _both(first, second, negatives, settings)
    if p is None or q is None:
        return undefined("sim", _empty(p), first.size, settings)
    return MapScore("sim", float(np.minimum(p, q).sum()), first.size, settings)


@checked
def similarity_mit(ours: Map, theirs: ReferenceMap, *, resize: Resize | None = None) -> MapScore:
    """SIM as the MIT benchmark's code computes it: both maps are first scaled to 0 to 1 by their
    minimum and maximum, so that a pedestal under a map is taken off; see `similarity`.

    Undefined where a map is constant.

    Raises:
        InputError: NaN, infinity, or two sizes.

    Source: similarity.m of the MIT/Tuebingen saliency benchmark.
    """
    first, second, settings = pair(ours, theirs, resize)
    p, q = _stretched(first), _stretched(second)
    if p is None or q is None:
        return undefined("sim_mit", _flat(p), first.size, settings)
    return MapScore("sim_mit", float(np.minimum(p, q).sum()), first.size, settings)


@checked
def kl(
    ours: Map,
    theirs: ReferenceMap,
    *,
    negatives: Negatives = "refuse",
    resize: Resize | None = None,
) -> MapScore:
    """Kullback-Leibler divergence of the map from the reference, in nats; 0 for equal maps.

    sum over pixels of H log(eps + H / (S + eps)), eps = 2.2e-16: no symmetry, and a map that gives
    nothing to a pixel where people looked pays heavily.

    Raises:
        InputError: as `similarity`.

    Source: Bylinskii et al. 2019, section 3.2.4.
    """
    first, second, settings = pair(ours, theirs, resize)
    s, h = _both(first, second, negatives, settings)
    if s is None or h is None:
        return undefined("kl", _empty(s), first.size, settings)
    value = float((h * np.log(EPSILON + h / (s + EPSILON))).sum())
    return MapScore("kl", value, first.size, settings)


@checked
def information_gain(
    ours: Map,
    fixations: Fixations,
    baseline: Map,
    *,
    repeats: bool = True,
    negatives: Negatives = "refuse",
) -> MapScore:
    """Bits per fixation by which the map predicts fixations better than a baseline does.

    mean over fixations of log2(S + eps) - log2(B + eps), both as densities; 0 for the baseline. The
    MIT benchmark's code scales both by minimum and maximum first, which is `information_gain_mit`.

    Args:
        baseline: (H, W), such as a centre prior.
        repeats: a pixel that is fixated twice counts twice.

    Raises:
        InputError: as `similarity`, and for a fixation outside the map.

    Source: Kuemmerer et al. 2015 (PNAS 112:16054); Bylinskii et al. 2019, section 3.2.5.
    """
    first, second, settings = pair(ours, baseline, None)
    at = pixels(fixations, first.shape, repeats=repeats, name="fixations")
    settings["repeats"] = repeats
    s, b = _both(first, second, negatives, settings)
    if s is None or b is None:
        reason = "the map adds up to 0" if s is None else "the baseline adds up to 0"
        return undefined("information_gain", reason, at.size, settings)
    return _mean_gain("information_gain", s, b, at, settings)


@checked
def information_gain_mit(ours: Map, fixations: Fixations, baseline: Map) -> MapScore:
    """Information gain as the MIT benchmark's code computes it: map and baseline are first scaled
    to 0 to 1 by their minimum and maximum, and a pixel that is fixated twice counts once; see
    `information_gain`.

    Undefined where a map is constant. A fixation where the map has its minimum costs log2 of eps,
    some 50 bits.

    Raises:
        InputError: NaN, infinity, two sizes, or a fixation outside the map.

    Source: InfoGain.m of the MIT/Tuebingen saliency benchmark.
    """
    first, second, settings = pair(ours, baseline, None)
    at = pixels(fixations, first.shape, repeats=False, name="fixations")
    settings["repeats"] = False
    s, b = _stretched(first), _stretched(second)
    if s is None or b is None:
        reason = "the map is constant" if s is None else "the baseline is constant"
        return undefined("information_gain_mit", reason, at.size, settings)
    return _mean_gain("information_gain_mit", s, b, at, settings)


def _mean_gain(
    name: str,
    ours: Map,
    baseline: Map,
    at: np.ndarray,
    settings: dict[str, str | int | float | bool],
) -> MapScore:
    """Bits gained over the baseline, over the fixated pixels."""
    if not at.size:
        return undefined(name, "no fixation", 0, settings)
    gains = np.log2(ours.ravel()[at] + EPSILON) - np.log2(baseline.ravel()[at] + EPSILON)
    return MapScore(name, float(gains.mean()), at.size, settings)


@checked
def equal_area_iou(
    ours: Map, theirs: ReferenceMap, *, threshold: float = 0.5, resize: Resize | None = None
) -> MapScore:
    """Intersection over union of the reference's region and as large a region of the map.

    The region is where the reference reaches `threshold` of its maximum. Of equal values at the
    edge of the map's region each counts by the share that fits.

    Raises:
        InputError: NaN, infinity, two sizes, a threshold outside 0 to 1, or a negative reference.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"expected a threshold above 0 and up to 1, got {threshold}")
    first, second, settings = pair(ours, theirs, resize)
    settings["threshold"] = threshold
    if second.min() < 0:
        raise InputError("expected a reference map without negative values")
    if not second.max() > 0:
        return undefined("iou", "the reference map is all zero", first.size, settings)
    inside = second >= threshold * second.max()
    n = int(inside.sum())
    edge = np.partition(first.ravel(), first.size - n)[first.size - n]
    above, at = first > edge, first == edge
    share = (n - int(above.sum())) / int(at.sum())
    hit = float((above & inside).sum() + share * (at & inside).sum())
    return MapScore("iou", hit / (2 * n - hit), n, settings)


def _both(
    first: Map, second: Map, negatives: Negatives, settings: dict[str, str | int | float | bool]
) -> tuple[Map | None, Map | None]:
    ours = density(first, "the map", negatives, settings)
    return ours, density(second, "the reference map", "refuse", settings)


def _stretched(values: Map) -> Map | None:
    """From the minimum at 0 on, adding up to 1; None where all values are the same."""
    if constant(values):
        return None
    raised = values - values.min()
    return raised / raised.sum()


def _flat(ours: Map | None) -> str:
    return "the map is constant" if ours is None else "the reference map is constant"


def _empty(ours: Map | None) -> str:
    return "the map adds up to 0" if ours is None else "the reference map adds up to 0"
