"""Agreement of a map over an image with where people looked.

    from retinoscope.stats import maps

    maps.ncc(model_map, human_density).value
    maps.nss(model_map, fixations, repeats=True)       # a MapScore: value, n, settings, reason
    maps.compare(model_map, maps.Reference(density=human_density, fixations=fixations))

A map is (H, W), higher where the image is said to matter more, on any scale. Where a metric is
undefined it is NaN with a `reason`, never a neutral number. Input that is not a valid map (NaN,
another size, negative values where a density is required) is refused unless the caller chooses how
to treat it, and that choice is recorded.
"""

from ._auc import auc_borji, auc_judd, auc_region, auc_shuffled, mann_whitney
from ._compare import METRICS, Metric, Reference, compare
from ._density import (
    equal_area_iou,
    information_gain,
    information_gain_mit,
    kl,
    similarity,
    similarity_mit,
)
from ._linear import ncc, nss
from ._localise import (
    average_precision,
    best_iou,
    mass_inside,
    otsu,
    otsu_iou,
    pointing_game,
)
from ._resample import resample
from ._transport import emd
from ._types import MapScore

__all__ = [
    "METRICS",
    "MapScore",
    "Metric",
    "Reference",
    "auc_borji",
    "auc_judd",
    "auc_region",
    "auc_shuffled",
    "average_precision",
    "best_iou",
    "compare",
    "emd",
    "equal_area_iou",
    "information_gain",
    "information_gain_mit",
    "kl",
    "mann_whitney",
    "mass_inside",
    "ncc",
    "nss",
    "otsu",
    "otsu_iou",
    "pointing_game",
    "resample",
    "similarity",
    "similarity_mit",
]
