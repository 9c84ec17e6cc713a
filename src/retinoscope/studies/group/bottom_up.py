"""Groups without text, as overlap with the instances of an image; and their nulls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from ...grouping import Grouping as Kind
from ...grouping import (
    group,
    jaccard,
    overlap_bound,
    random_groups,
    superpixel_groups,
    voronoi_groups,
)
from .._executor import Rows
from ..summary import Record
from .view import View

BOTTOM_UP = "bottom-up"
BOUND = "bound"


def group_rows(
    view: View,
    layer: str,
    features: Float[np.ndarray, "location d"],
    kinds: Sequence[Kind],
    n_groups: int,
    seed: int,
) -> Rows:
    """Returns one row per way of grouping a layer's features."""
    return [overlap_row(view, kind, layer, group(features, kind, n_groups, seed)) for kind in kinds]


def null_rows(view: View, n_groups: int, seed: int) -> Rows:
    """Returns rows of groups made without features, and of the best possible union of locations."""
    nulls = {
        "random": random_groups(view.n, n_groups, seed),
        "voronoi": voronoi_groups(view.boxes, n_groups, seed),
        "superpixels": superpixel_groups(view.image, view.boxes, n_groups, seed),
    }
    rows = [overlap_row(view, name, "", groups) for name, groups in nulls.items()]
    bound = overlap_bound(view.instances, view.whole)
    return [*rows, _row(view, BOUND, "", bound, bound, 0)]


def overlap_row(
    view: View, method: str, layer: str, groups: Int[np.ndarray, " location"]
) -> Record:
    """Measures the overlap of groups with the image's instances, as sums over instances."""
    found = jaccard(view.instances, view.whole, groups)
    return _row(view, method, layer, found.best, found.matched, int(groups.max()) + 1)


def _row(
    view: View, method: str, layer: str, best: np.ndarray, matched: np.ndarray, n_groups: int
) -> Record:
    defined = ~np.isnan(best)
    return {
        "kind": BOTTOM_UP,
        "method": method,
        "layer": layer,
        "best": float(best[defined].sum()),
        "matched": float(matched[defined].sum()),
        "n": int(defined.sum()),
        "n_undefined": int((~defined).sum()),
        "n_groups": n_groups,
        "seen": view.seen,
    }
