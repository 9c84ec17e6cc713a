"""Mean IoU of label maps: from the confusion matrix of the whole data set, as in Pascal VOC.

Each image contributes three numbers per class, `class_counts`, so that images can be resampled.
torchmetrics' `MulticlassJaccardIndex` (macro) gives the same value, without intervals over images.
A class that occurs in neither truth nor prediction is left out; one that is only predicted counts
as 0.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from retinoscope.arguments import checked
from retinoscope.errors import InputError
from retinoscope.stats._bootstrap import resample_weights
from retinoscope.stats._check import Groups, check_level, check_resamples, group_numbers
from retinoscope.stats._types import Interval, PairedDifference

Counts = Int[np.ndarray, "image label 3"]


@checked
def class_counts(
    truth: Int[np.ndarray, "*pixels"],
    predicted: Int[np.ndarray, "*pixels"],
    n_classes: int,
    ignore: int = 255,
) -> Int[np.ndarray, "label 3"]:
    """Pixels of each class that are right, that are predicted, and that are in the truth.

    Pixels whose truth is `ignore` are left out of all three.

    Raises:
        InputError: maps of different sizes, or a label outside 0 to `n_classes` - 1.
    """
    if truth.shape != predicted.shape:
        raise InputError(
            f"expected a truth and a prediction of the same size, got {truth.shape} and "
            f"{predicted.shape}: resize one of them first"
        )
    known = truth != ignore
    actual, guess = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    for what, labels in (("truth", actual), ("prediction", guess)):
        if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
            raise InputError(
                f"expected labels from 0 to {n_classes - 1} (or {ignore} in the truth), got "
                f"{labels.min()} to {labels.max()} in the {what}"
            )
    right = np.bincount(actual[actual == guess], minlength=n_classes)
    sides = (np.bincount(labels, minlength=n_classes) for labels in (guess, actual))
    return np.stack([right, *sides], 1)


@checked
def class_iou(counts: Int[np.ndarray, "label 3"]) -> Float[np.ndarray, " label"]:
    """IoU of each class; NaN for a class that is neither in the truth nor predicted."""
    return _iou(counts.astype(np.float64))


@checked
def mean_iou(
    counts: Counts,
    groups: Groups | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Mean over classes of the data set's IoU, with a percentile interval over resampled images.

    Args:
        counts: (n, classes, 3) from `class_counts`.
        groups: (n,) the image of each item; by default each item is its own.

    Raises:
        InputError: counts of another shape, or lengths that differ.
    """
    check_level(level)
    sums = _by_group(counts, groups)
    method = f"mean IoU, bootstrap over images, {n_resamples} resamples, seed {seed}"
    nan = math.nan
    if not sums.sum():
        return Interval(nan, nan, nan, len(counts), len(sums), level, method, "no pixels")
    value = float(np.nanmean(_iou(sums.sum(0))))
    if len(sums) == 1:
        reason = "one image only: nothing to resample"
        return Interval(value, nan, nan, len(counts), 1, level, method, reason)
    draws = _resampled(sums, n_resamples, seed)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), len(counts), len(sums), level, method)


@checked
def mean_iou_difference(
    a: Counts,
    b: Counts,
    groups: Groups | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference:
    """Mean IoU of `a` minus that of `b` on the same images, resampled together.

    `p` comes from a permutation test that swaps the two within images.

    Raises:
        InputError: shapes or lengths that differ.
    """
    check_level(level)
    if a.shape != b.shape:
        raise InputError(f"expected counts of the same images, got {a.shape} and {b.shape}")
    first, second = _by_group(a, groups), _by_group(b, groups)
    method = f"difference of mean IoU, bootstrap over images, {n_resamples} resamples, seed {seed}"
    nan, n = math.nan, len(a)
    if not first.sum() or not second.sum():
        return PairedDifference(nan, nan, nan, n, len(first), level, method, "no pixels")
    value = float(np.nanmean(_iou(first.sum(0))) - np.nanmean(_iou(second.sum(0))))
    if len(first) == 1:
        reason = "one image only: nothing to resample"
        return PairedDifference(value, nan, nan, n, 1, level, method, reason)
    draws = _resampled(first, n_resamples, seed) - _resampled(second, n_resamples, seed)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    swaps = np.random.default_rng(seed).integers(0, 2, size=(n_resamples, len(first)))
    moved = np.tensordot(swaps.astype(np.float64), second - first, 1)
    swapped = _means(first.sum(0) + moved) - _means(second.sum(0) - moved)
    # Differences that differ only by rounding are ties.
    hits = int((np.abs(swapped) >= abs(value) - 1e-12).sum())
    return PairedDifference(
        value,
        float(low),
        float(high),
        n,
        len(first),
        level,
        method,
        p=(hits + 1) / (n_resamples + 1),
    )


@checked
def resampled_mean_iou(
    counts: Counts, groups: Groups | None = None, n_resamples: int = 1000, seed: int = 0
) -> Float[np.ndarray, " draw"]:
    """Mean IoU in each resample of the images; the same groups give the same resamples.

    Raises:
        InputError: counts of another shape, or lengths that differ.
    """
    return _resampled(_by_group(counts, groups), n_resamples, seed)


@checked
def cell_bound(
    cells: Int[np.ndarray, "cell label"],
    missed: Int[np.ndarray, " label"] | None = None,
    missed_as: int | None = None,
) -> Float[np.ndarray, " label"]:
    """The largest IoU of each class that any choice of whole cells can reach.

    A label map that is constant on cells (on visual tokens, say) cannot do better in any class, so
    the mean over classes bounds its mean IoU. Classes are bounded one by one; a single map may not
    reach all bounds at once. The best choice for a class takes cells in the order of its share of
    them (the maximum of a ratio of sums), so it is enough to try the prefixes of that order.

    Args:
        cells: (n, classes) pixels of each class in each cell, over the whole data set.
        missed: (classes,) pixels of each class that lie in no cell and cannot be chosen.
        missed_as: the class that is predicted for those pixels; None for no class.

    Returns:
        (classes,) IoU; NaN for a class without pixels.
    """
    total = cells.sum(1)
    outside = np.zeros(cells.shape[1]) if missed is None else missed
    bound = np.full(cells.shape[1], np.nan)
    for label, inside in enumerate(cells.T):
        everywhere = inside.sum() + outside[label]
        if not everywhere:
            continue
        occupied = inside > 0
        hit, size = inside[occupied].astype(np.float64), total[occupied].astype(np.float64)
        order = np.argsort(-hit / size, kind="stable")
        # Pixels in no cell are predicted whatever cells are chosen.
        right, wrong = (
            (outside[label], outside.sum() - outside[label]) if label == missed_as else (0, 0)
        )
        hits = right + np.cumsum([0.0, *hit[order]])
        beside = wrong + np.cumsum([0.0, *(size - hit)[order]])
        bound[label] = (hits / (everywhere + beside)).max()
    return bound


def _by_group(counts: Counts, groups: Groups | None) -> Float[np.ndarray, "group label 3"]:
    if counts.shape[2] != 3:
        raise InputError(f"expected counts (images, classes, 3), got {counts.shape}")
    number, n_groups = group_numbers(groups, len(counts))
    sums = np.zeros((n_groups, *counts.shape[1:]))
    np.add.at(sums, number, counts)
    return sums


def _iou(sums: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
    union = sums[..., 1] + sums[..., 2] - sums[..., 0]
    return np.divide(sums[..., 0], union, out=np.full(union.shape, np.nan), where=union > 0)


def _means(sums: Float[np.ndarray, "draw label 3"]) -> Float[np.ndarray, " draw"]:
    iou = _iou(sums)
    defined = ~np.isnan(iou)
    return np.where(defined, iou, 0.0).sum(1) / np.maximum(defined.sum(1), 1)


def _resampled(
    sums: Float[np.ndarray, "group label 3"], n_resamples: int, seed: int
) -> Float[np.ndarray, " draw"]:
    check_resamples(n_resamples)
    return np.concatenate(
        [
            _means(np.tensordot(weights, sums, 1))
            for weights in resample_weights(len(sums), n_resamples, seed)
        ]
    )
