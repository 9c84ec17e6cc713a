"""Turns votes into objects: locations whose votes for a centre agree form one object."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from ...stats import cell_bound
from .tally import tally
from .truth import Cells

NONE = -1
"""Marks a location that belongs to no object."""


def group_votes(
    inside: Bool[np.ndarray, " n"], votes: Float[np.ndarray, "n 2"], radius: float
) -> Int[np.ndarray, " n"]:
    """The object of each location, `NONE` outside.

    Repeatedly, the vote with the most free votes within `radius` turns them into an object (ties:
    the first).

    Args:
        votes: predicted centre of each location's object; NaN for no vote.
        radius: in the unit of `votes`.
    """
    group = np.full(len(votes), NONE)
    free = np.flatnonzero(inside & np.isfinite(votes).all(1))
    near = ((votes[free, None] - votes[None, free]) ** 2).sum(-1) <= radius**2
    left = np.ones(len(free), bool)
    number = 0
    while left.any():
        count = (near & left).sum(1) * left
        chosen = near[int(count.argmax())] & left
        group[free[chosen]] = number
        left &= ~chosen
        number += 1
    return group


def overlaps(
    group: Int[np.ndarray, " n"],
    objects: Cells,
    n_objects: int,
    pixels: Int[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "group object"], Bool[np.ndarray, " group"]]:
    """Pixel IoU of each group of locations with each object, and whether each group is unknown.

    A group is unknown if more than half of its pixels are. Unknown pixels do not count in the IoU.

    Args:
        objects: pixels by 1 + number of the object, 0 for background.
        pixels: per location, unknown ones included.
    """
    n_groups = int(group.max(initial=NONE)) + 1
    placed = objects.place >= 0
    group_of_row = np.where(placed, group[np.maximum(objects.place, 0)], NONE)
    table = tally(
        (n_groups + 1, n_objects + 1), group_of_row + 1, objects.label, count=objects.count
    )
    intersection, group_pixels = table[1:, 1:], table[1:].sum(1)
    object_pixels = table.sum(0)[1:]
    union = group_pixels[:, None] + object_pixels[None] - intersection
    iou = np.divide(intersection, union, out=np.zeros(intersection.shape), where=union > 0)
    inside = group != NONE
    all_pixels = np.bincount(group[inside], pixels[inside], n_groups)
    return iou, 2 * group_pixels < all_pixels


def panoptic(
    iou: Float[np.ndarray, "group object"], unknown: Bool[np.ndarray, " group"] | None = None
) -> tuple[float, float]:
    """Numerator and denominator of one image's panoptic quality, for one class.

    Kirillov et al. 2019 (arXiv 1801.00868), section 4: pairs with an IoU above one half are
    matched, and no object can have two of them.

    Args:
        unknown: groups that are not counted as wrong if they match nothing, from `overlaps`.
    """
    if unknown is not None:
        iou = iou[~unknown | (iou > 0.5).any(1)]
    matched = iou[iou > 0.5]
    hits = len(matched)
    n_groups, n_objects = iou.shape
    return float(matched.sum()), hits + (n_groups - hits) / 2 + (n_objects - hits) / 2


def best_cover(objects: Cells, n_objects: int, n: int) -> Float[np.ndarray, " object"]:
    """The largest IoU that each object can reach with any set of the n locations."""
    table = tally((n + 1, n_objects + 1), objects.place, objects.label, count=objects.count)
    return np.nan_to_num(cell_bound(table[:n], table[n])[1:])
