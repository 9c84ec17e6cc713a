"""Scores of one heat map against the object's mask, and baseline maps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from ...saliency import HeatMap
from ...stats import maps
from ...store import Scalar
from .._study import rng_of
from .options import RANDOM

_SPREAD = 0.25
"""Standard deviation of the bump, in widths and heights of the image."""

Mask = Bool[np.ndarray, "height width"]


def baseline(name: str, like: HeatMap, seed: int, *labels: str) -> HeatMap:
    """Returns a map of the same tokens that does not depend on a model."""
    if name == RANDOM:
        values = rng_of(seed, RANDOM, *labels).random(len(like))
    else:
        size = np.array(like.image.size, float)
        middles = (like.boxes[:, :2] + like.boxes[:, 2:]) / 2
        away = (middles / size - 0.5) / _SPREAD
        # A token without a location counts as infinitely far away.
        values = np.nan_to_num(np.exp(-0.5 * (away**2).sum(1)))
    return HeatMap(like.image, like.boxes, values, name, like.target, positions=like.positions)


def scores(heat: HeatMap, mask: Mask, other: Mask | None) -> dict[str, Scalar]:
    """Returns the localisation scores of a map, at pixels; undefined ones are None, with reasons.

    Args:
        heat: the map.
        mask: the object's mask.
        other: another image's mask, for the control.
    """
    values = heat.pixels()
    region = mask.astype(np.float64)
    results = {
        "pointing": maps.pointing_game(values, mask),
        "mass": maps.mass_inside(values, mask, negatives="clip"),
        "ap": maps.average_precision(values, mask),
        "iou_best": maps.best_iou(values, mask),
        "iou_otsu": maps.otsu_iou(values, mask),
    }
    # A constant map has no region of its own.
    if results["ap"].defined:
        results["iou_area"] = maps.equal_area_iou(values, region)
    if other is not None and other.any():
        results |= {
            "shuffled_pointing": maps.pointing_game(values, other),
            "shuffled_mass": maps.mass_inside(values, other, negatives="clip"),
            "shuffled_ap": maps.average_precision(values, other),
        }
    cells: dict[str, Scalar] = {
        name: score.value if score.defined else None for name, score in results.items()
    }
    reasons = {score.reason for score in results.values() if score.reason}
    return cells | {"reason": "; ".join(sorted(reasons)) or None, "area": float(mask.mean())}
