"""Intervals, paired tests and effect sizes, each with its sample size, method and reason.

Images, not tokens, are the independent units: pass the image of each item as `groups`. Undefined
results are NaN with a `reason`, never 0; NaN in the input is refused.
"""

from retinoscope.stats import maps
from retinoscope.stats._bootstrap import resample_weights
from retinoscope.stats._clusters import (
    cluster_mean,
    cluster_ratio,
    cluster_share,
    quantile_of,
    score_ends,
)
from retinoscope.stats._paired import paired_difference
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
from retinoscope.stats._selection import (
    CrossFitted,
    cross_fitted,
    half_of,
    holm,
    simultaneous_level,
)
from retinoscope.stats._types import EffectSize, Interval, PairedDifference

__all__ = [
    "CrossFitted",
    "EffectSize",
    "Interval",
    "PairedDifference",
    "cell_bound",
    "class_counts",
    "class_iou",
    "cluster_mean",
    "cluster_ratio",
    "cluster_share",
    "cohens_h",
    "cross_fitted",
    "half_of",
    "holm",
    "maps",
    "mean_iou",
    "mean_iou_difference",
    "over_seeds",
    "paired_difference",
    "proportion",
    "quantile_of",
    "resample_weights",
    "resampled_mean_iou",
    "resampled_ratio",
    "score_ends",
    "simultaneous_level",
    "wilson",
]
