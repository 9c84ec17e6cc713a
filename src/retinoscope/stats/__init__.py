"""Intervals, paired tests and effect sizes, each with its sample size, method and reason.

Images, not tokens, are the independent units: pass the image of each item as `groups`. What is
undefined is NaN with a `reason`, never 0; a NaN that goes in is refused.
"""

from retinoscope.stats._bootstrap import (
    bootstrap_mean,
    bootstrap_ratio,
    paired_difference,
    resample_weights,
)
from retinoscope.stats._proportions import cohens_h, proportion, wilson
from retinoscope.stats._seeds import over_seeds, resampled_ratio
from retinoscope.stats._segmentation import (
    cell_bound,
    class_counts,
    class_iou,
    mean_iou,
    mean_iou_difference,
    resampled_mean_iou,
)
from retinoscope.stats._types import EffectSize, Interval, PairedDifference

__all__ = [
    "EffectSize",
    "Interval",
    "PairedDifference",
    "bootstrap_mean",
    "bootstrap_ratio",
    "cell_bound",
    "class_counts",
    "class_iou",
    "cohens_h",
    "mean_iou",
    "mean_iou_difference",
    "over_seeds",
    "paired_difference",
    "proportion",
    "resample_weights",
    "resampled_mean_iou",
    "resampled_ratio",
    "wilson",
]
