"""From counts per image to a measure, on all images and on resamples of them.

A measure is a function of sums over images, so that a resample is a product with a matrix of
weights. One seed draws the same images for every encoder, layer and probe seed, which pairs the
differences of draws.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from ...stats import Interval, resample_weights, wilson
from .tally import tally

RESAMPLES = 1000

Draws = Float[np.ndarray, " draw"]


def class_means(
    right: Float[np.ndarray, "draw label"], whole: Float[np.ndarray, "draw label"]
) -> Draws:
    """Mean of right / whole over classes with anything in `whole`; NaN if there is none."""
    present = whole > 0
    share = np.divide(right, whole, out=np.zeros(right.shape), where=present)
    n = present.sum(-1)
    return np.where(n > 0, share.sum(-1) / np.maximum(n, 1), np.nan)


def class_accuracy(sums: Float[np.ndarray, "draw label 3"]) -> Draws:
    """Share answered right, averaged over the classes that occur."""
    return class_means(sums[..., 0], sums[..., 2])


def accuracy(sums: Float[np.ndarray, "draw label 3"]) -> Draws:
    """Share answered right."""
    return class_means(sums[..., 0].sum(-1, keepdims=True), sums[..., 2].sum(-1, keepdims=True))


def miou(sums: Float[np.ndarray, "draw label 3"]) -> Draws:
    """Intersection over union, averaged over the classes that occur or are predicted."""
    return class_means(sums[..., 0], sums[..., 1] + sums[..., 2] - sums[..., 0])


def iou(sums: Float[np.ndarray, "draw label 3"]) -> Draws:
    """Intersection over union of the last class."""
    return miou(sums[..., -1:, :])


def ratio(sums: Float[np.ndarray, "draw 2"]) -> Draws:
    """Sum of numerators over sum of denominators."""
    return class_means(sums[..., :1], sums[..., 1:])


OF_SUMS: dict[str, Callable[[np.ndarray], Draws]] = {
    "class_accuracy": class_accuracy,
    "accuracy": accuracy,
    "miou": miou,
    "iou": iou,
    "boundary_iou": ratio,
    "pq": ratio,
    "best_iou": ratio,
}


def one_of(
    predicted: Int[np.ndarray, " n"],
    label: Int[np.ndarray, " n"],
    image: Int[np.ndarray, " n"],
    n_images: int,
    n_classes: int,
) -> Int[np.ndarray, "image label 3"]:
    """Numbers of cases that are right, predicted and there, by image and class.

    Args:
        image: index of each case's image among `n_images`.
    """
    shape, right = (n_images, n_classes), predicted == label
    counts = (
        tally(shape, image[right], label[right]),
        tally(shape, image, predicted),
        tally(shape, image, label),
    )
    return np.stack(counts, -1)


def average_precision(
    scores: Float[np.ndarray, "n label"],
    there: Float[np.ndarray, "n label"],
    weights: Float[np.ndarray, "draw n"],
) -> Draws:
    """Average precision averaged over classes, as scikit-learn's with sample weights.

    A draw leaves out the classes that have no positives in it.
    """
    total = np.zeros(len(weights))
    n = np.zeros(len(weights), np.int64)
    for score, positive in zip(scores.T, there.T, strict=True):
        order = np.argsort(-score, kind="stable")
        # Equal scores share one threshold.
        ends = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
        drawn = weights[:, order]
        hits = np.cumsum(drawn * positive[order], 1)[:, ends]
        taken = np.cumsum(drawn, 1)[:, ends]
        precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
        positives = hits[:, -1]
        gained = np.diff(hits, axis=1, prepend=0.0)
        score_of_class = (precision * gained).sum(1) / np.where(positives > 0, positives, 1)
        total += np.where(positives > 0, score_of_class, 0.0)
        n += positives > 0
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def weights_of(n_images: int) -> Float[np.ndarray, "draw image"]:
    """A row of ones for the images themselves, then the count of each image per resample."""
    drawn = np.concatenate(list(resample_weights(n_images, RESAMPLES, 0)))
    return np.concatenate([np.ones((1, n_images)), drawn])


def interval_of(draws: Draws, n: int, n_images: int, share: bool = True) -> Interval:
    """Value and percentile interval; the first draw is the value itself.

    Args:
        n: number of items behind it.
        share: whether the value lies between 0 and 1. At either end all resamples agree, and the
            interval is Wilson's with the number of images as sample size.
    """
    method = f"bootstrap over images, {RESAMPLES} resamples, seed 0"
    value, resampled = float(draws[0]), draws[1:][np.isfinite(draws[1:])]
    if not np.isfinite(value) or not len(resampled):
        nan = float("nan")
        return Interval(nan, nan, nan, n, n_images, 0.95, method, "nothing to score")
    if share and value in (0.0, 1.0):
        edge = wilson(n_images if value else 0, n_images)
        return Interval(value, edge.low, edge.high, n, n_images, 0.95, "Wilson over images")
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(value, float(low), float(high), n, n_images, 0.95, method)
