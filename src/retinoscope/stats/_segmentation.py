"""Mean IoU of label maps: from the confusion matrix of the whole data set, as in Pascal VOC.

An image's share in that matrix is three numbers a class, `class_counts`, so that images can be
resampled. torchmetrics' `MulticlassJaccardIndex` (macro) gives the same value; what it has not are
intervals over images. A class that is in no truth and in no prediction of the data set is left out;
one that is predicted and is nowhere counts 0.
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
    """Pixels of each class that are right, that are predicted, and that are there.

    Pixels whose truth is `ignore` are left out on both sides.

    Raises:
        InputError: maps of two sizes, or a label outside 0 to `n_classes` - 1.
    """
    if truth.shape != predicted.shape:
        raise InputError(
            f"expected a truth and a prediction of one size, got {truth.shape} and "
            f"{predicted.shape}: bring them to one size first"
        )
    known = truth != ignore
    there, said = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    for what, labels in (("truth", there), ("prediction", said)):
        if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
            raise InputError(
                f"expected labels from 0 to {n_classes - 1} (or {ignore} in the truth), got "
                f"{labels.min()} to {labels.max()} in the {what}"
            )
    right = np.bincount(there[there == said], minlength=n_classes)
    sides = (np.bincount(labels, minlength=n_classes) for labels in (said, there))
    return np.stack([right, *sides], 1)


@checked
def class_iou(counts: Int[np.ndarray, "label 3"]) -> Float[np.ndarray, " label"]:
    """IoU of each class; NaN for one that is neither there nor predicted."""
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
        InputError: another shape, or other lengths.
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
    found = _resampled(sums, n_resamples, seed)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
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

    `p` is that of a permutation test which swaps the two within images.

    Raises:
        InputError: other shapes or lengths.
    """
    check_level(level)
    if a.shape != b.shape:
        raise InputError(f"expected counts of the same images, got {a.shape} and {b.shape}")
    ours, theirs = _by_group(a, groups), _by_group(b, groups)
    method = f"difference of mean IoU, bootstrap over images, {n_resamples} resamples, seed {seed}"
    nan, n = math.nan, len(a)
    if not ours.sum() or not theirs.sum():
        return PairedDifference(nan, nan, nan, n, len(ours), level, method, "no pixels")
    value = float(np.nanmean(_iou(ours.sum(0))) - np.nanmean(_iou(theirs.sum(0))))
    if len(ours) == 1:
        reason = "one image only: nothing to resample"
        return PairedDifference(value, nan, nan, n, 1, level, method, reason)
    found = _resampled(ours, n_resamples, seed) - _resampled(theirs, n_resamples, seed)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    swaps = np.random.default_rng(seed).integers(0, 2, size=(n_resamples, len(ours)))
    moved = np.tensordot(swaps.astype(np.float64), theirs - ours, 1)
    swapped = _means(ours.sum(0) + moved) - _means(theirs.sum(0) - moved)
    # Differences that differ by rounding only are ties.
    hits = int((np.abs(swapped) >= abs(value) - 1e-12).sum())
    return PairedDifference(
        value,
        float(low),
        float(high),
        n,
        len(ours),
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
        InputError: another shape, or other lengths.
    """
    return _resampled(_by_group(counts, groups), n_resamples, seed)


@checked
def cell_bound(
    cells: Int[np.ndarray, "cell label"],
    missed: Int[np.ndarray, " label"] | None = None,
    said: int | None = None,
) -> Float[np.ndarray, " label"]:
    """The largest IoU of each class that any choice of whole cells can reach.

    A label map that is constant on cells (on visual tokens, say) cannot do better in any class, so
    the mean over classes bounds its mean IoU. Classes are bounded one by one, and one map may not
    reach all bounds at once. For a class, the best choice takes cells in the order of their share
    of it (the maximum of a ratio of sums), so that trying all beginnings is enough.

    Args:
        cells: (n, classes) pixels of each class in each cell, of the whole data set.
        missed: (classes,) pixels of each class that lie in no cell, which no choice reaches.
        said: the class that pixels in no cell are said to be of; of none if None.

    Returns:
        (classes,) IoU; NaN for a class that is nowhere.
    """
    total = cells.sum(1)
    outside = np.zeros(cells.shape[1]) if missed is None else missed
    bound = np.full(cells.shape[1], np.nan)
    for label, inside in enumerate(cells.T):
        everywhere = inside.sum() + outside[label]
        if not everywhere:
            continue
        there = inside > 0
        own, whole = inside[there].astype(np.float64), total[there].astype(np.float64)
        order = np.argsort(-own / whole, kind="stable")
        # What is said of pixels in no cell is said before any cell is chosen.
        given, wrong = (outside[label], outside.sum() - outside[label]) if label == said else (0, 0)
        hits = given + np.cumsum([0.0, *own[order]])
        beside = wrong + np.cumsum([0.0, *(whole - own)[order]])
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
    found = _iou(sums)
    there = ~np.isnan(found)
    return np.where(there, found, 0.0).sum(1) / np.maximum(there.sum(1), 1)


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
