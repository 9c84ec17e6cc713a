"""Fit of groups to instances: Jaccard index by best match and by one-to-one matching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ..arguments import checked
from ..errors import InputError
from ..stats import cell_bound

Cells = Int[np.ndarray, "instance location"]
Whole = Int[np.ndarray, " location"]


@dataclass(frozen=True, eq=False)
class InstanceOverlap:
    """The overlap of each instance with the groups of its image, regardless of class.

    Attributes:
        best: (k,) IoU with the best-fitting group. This is an oracle, since the truth chooses the
            group, and one group may serve several instances.
        matched: (k,) IoU under the one-to-one matching with the largest sum (Hungarian method); 0
            for an instance left without a group.

    Both are NaN, not 0, for an instance that no location shows.
    """

    best: Float[np.ndarray, " instance"]
    matched: Float[np.ndarray, " instance"]


@checked
def jaccard(inside: Cells, whole: Whole, groups: Int[np.ndarray, " location"]) -> InstanceOverlap:
    """The overlap of instances with groups of locations.

    Args:
        inside: (k, n) pixels of each instance at each location, from `instance_cells`.
        whole: (n,) pixels that count at each location.
        groups: (n,) group numbers from 0.

    Raises:
        InputError: lengths that differ.

    Source: Ranasinghe et al. 2022, section 4.3, which does not say how segments are matched; hence
    both.
    """
    _check(inside, whole)
    if groups.shape != whole.shape:
        raise InputError(f"expected one group per location, got {groups.shape} and {whole.shape}")
    from scipy.optimize import linear_sum_assignment

    member = groups[:, None] == np.arange(groups.max() + 1)
    both = inside @ member
    union = inside.sum(1)[:, None] + (whole @ member)[None] - both
    iou = np.divide(both, union, out=np.zeros(both.shape), where=union > 0)
    visible = inside.sum(1) > 0
    matched = np.zeros(len(inside))
    rows, columns = linear_sum_assignment(iou, maximize=True)
    matched[rows] = iou[rows, columns]
    best = iou.max(1, initial=0.0)
    return InstanceOverlap(np.where(visible, best, np.nan), np.where(visible, matched, np.nan))


@checked
def overlap_bound(inside: Cells, whole: Whole) -> Float[np.ndarray, " instance"]:
    """(k,) the largest IoU of each instance with any union of locations; NaN if none shows it."""
    _check(inside, whole)
    bounds = [cell_bound(np.stack([row, whole - row], 1))[0] for row in inside]
    return np.array(bounds, np.float64)


def _check(inside: Cells, whole: Whole) -> None:
    if inside.ndim != 2 or inside.shape[1:] != whole.shape or (inside > whole).any():
        raise InputError(
            f"expected pixels of instances at locations, and of the locations, got {inside.shape} "
            f"and {whole.shape}"
        )
