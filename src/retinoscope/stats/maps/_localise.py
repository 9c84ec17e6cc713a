"""Agreement of a map with a known region, such as an object's mask."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from ...arguments import checked
from ...errors import InputError
from ._check import Map, Negatives, constant, density, map_of
from ._types import MapScore, undefined

Region = Bool[np.ndarray, "height width"]

_BINS = 256


@checked
def pointing_game(predicted: Map, region: Region, *, tolerance: int = 0) -> MapScore:
    """Whether the map's maximum lies in the region; with several maxima, their share inside it.

    Chance is the region's share of the pixels. Undefined for a constant map.

    Args:
        tolerance: margin around the region that still counts, in pixels (Euclidean); Zhang et al.
            use 15.

    Raises:
        InputError: NaN, infinity, sizes that differ, a region that is not boolean, or a tolerance
            below 0.

    Source: Zhang et al. 2016 (arXiv 1608.00507), section 4.3, where a tie counts as the first
    maximum.
    """
    values, inside = _pair(predicted, region)
    if tolerance < 0:
        raise InputError(f"expected a tolerance from 0 pixels up, got {tolerance}")
    if reason := _undefined_reason(values, inside):
        return undefined("pointing", reason, values.size)
    if tolerance:
        from scipy.ndimage import distance_transform_edt

        inside = np.asarray(distance_transform_edt(~inside)) <= tolerance
    largest = values == values.max()
    share = float(inside[largest].mean())
    return MapScore("pointing", share, int(largest.sum()), {"tolerance": tolerance})


@checked
def mass_inside(predicted: Map, region: Region, *, negatives: Negatives = "refuse") -> MapScore:
    """Share of the map's sum that lies in the region; chance is the region's share of the pixels.

    Undefined for a map that adds up to 0; a constant map scores at chance.

    Args:
        negatives: "refuse", "clip" to 0, or "shift" up by the minimum.

    Raises:
        InputError: NaN, infinity, sizes that differ, a region that is not boolean, or negative
            values that are refused.

    Source: "energy-based pointing game", Wang et al. 2020 (arXiv 1910.01279), section 4.3.
    """
    values, inside = _pair(predicted, region)
    settings: dict[str, str | int | float | bool] = {}
    share = density(values, "the map", negatives, settings)
    if not inside.any():
        return undefined("mass", "the region is empty", values.size, settings)
    if share is None:
        return undefined("mass", "the map adds up to 0", values.size, settings)
    return MapScore("mass", float(share[inside].sum()), values.size, settings)


@checked
def average_precision(predicted: Map, region: Region) -> MapScore:
    """Average precision of the region's pixels, ranked by the map; chance is their share.

    The precision at every distinct value, weighted by the recall that it adds, ties taken together.

    Raises:
        InputError: NaN, infinity, sizes that differ, or a region that is not boolean.

    Source: scikit-learn's `average_precision_score`, which gives 0 without positives; here that is
    undefined.
    """
    values, inside = _pair(predicted, region)
    if reason := _undefined_reason(values, inside):
        return undefined("ap", reason, values.size)
    order, labels = np.argsort(-values, axis=None), inside.ravel()
    sorted_values, hits = values.ravel()[order], np.cumsum(labels[order])
    last = np.append(np.flatnonzero(np.diff(sorted_values)), values.size - 1)
    recall = hits[last] / hits[-1]
    precision = hits[last] / (last + 1)
    value = float((np.diff(recall, prepend=0.0) * precision).sum())
    return MapScore("ap", value, int(inside.sum()))


@checked
def best_iou(predicted: Map, region: Region) -> MapScore:
    """Intersection over union of the region and the thresholded map, at the best threshold.

    An oracle: the threshold is chosen with knowledge of the region, so this bounds what any
    threshold reaches. It is never below the region's share of the pixels, since the whole image is
    one of the candidates.

    Raises:
        InputError: NaN, infinity, sizes that differ, or a region that is not boolean.
    """
    values, inside = _pair(predicted, region)
    if reason := _undefined_reason(values, inside):
        return undefined("iou_best", reason, values.size)
    order, labels = np.argsort(-values, axis=None), inside.ravel()
    sorted_values, hits = values.ravel()[order], np.cumsum(labels[order])
    last = np.append(np.flatnonzero(np.diff(sorted_values)), values.size - 1)
    union = (last + 1) + hits[-1] - hits[last]
    ious = hits[last] / union
    best = int(ious.argmax())
    threshold = float(sorted_values[last[best]])
    return MapScore("iou_best", float(ious[best]), int(last[best] + 1), {"threshold": threshold})


@checked
def otsu_iou(predicted: Map, region: Region) -> MapScore:
    """Intersection over union of the region and the map from Otsu's threshold up, which is chosen
    without knowledge of the region.

    Raises:
        InputError: NaN, infinity, sizes that differ, or a region that is not boolean.
    """
    values, inside = _pair(predicted, region)
    if reason := _undefined_reason(values, inside):
        return undefined("iou_otsu", reason, values.size)
    threshold = otsu(values)
    above = values >= threshold
    share = float((above & inside).sum() / (above | inside).sum())
    return MapScore("iou_otsu", share, int(above.sum()), {"threshold": threshold})


@checked
def otsu(values: Float[np.ndarray, "..."]) -> float:
    """The threshold that maximises the variance between the two classes it separates, over a
    histogram of 256 bins; the lowest of several. Values equal to it belong to the upper class.

    Raises:
        InputError: no values, or a single distinct value.

    Source: Otsu 1979 (IEEE Transactions on Systems, Man, and Cybernetics 9:62).
    """
    flat = np.asarray(values, np.float64).ravel()
    if not flat.size or constant(flat):
        raise InputError("expected at least two distinct values to separate, got one")
    counts, edges = np.histogram(flat, _BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = flat.size - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1:-1][int(np.nanargmax(between))])


def _pair(predicted: Map, region: Region) -> tuple[Map, Region]:
    values, inside = map_of(predicted, "the map"), np.asarray(region)
    if inside.shape != values.shape:
        raise InputError(
            f"expected a region as a boolean array {values.shape} (height, width) like the map, "
            f"got {inside.shape}"
        )
    return values, inside


def _undefined_reason(values: Map, inside: Region) -> str | None:
    if not inside.any():
        return "the region is empty"
    return "the map is constant" if constant(values) else None
