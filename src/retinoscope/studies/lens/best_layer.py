"""The paper's statistic: each object at its own best layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from ...stats import Interval, cluster_mean, cluster_share
from .._best import interval_columns
from .._paper import find
from ..summary import Record
from .paper import NUMBERS
from .shares import ObjectShares, number_of_layers


def best_layers(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields for each object the layer with the largest share (the first of equal ones), averaged.

    `images` names the objects averaged over: "all" (one that is never named has share 0 at layer
    0), "hitting" (without those), or "mean curve" (the peak of the mean curve over objects). The
    maximum over layers is biased upwards; the same statistic for the control groups shows by how
    much.

    Args:
        rows: rows of one group by one kind of lens, under one kind of weights.
    """
    n_layers = number_of_layers(rows)
    key = {name: rows[name][0] for name in ("weights", "lens", "group")}
    known = _paper(key)
    for (cover,), some in rows.partition_by("cover", maintain_order=True, as_dict=True).items():
        for measure in ("strict", "lenient"):
            shares = ObjectShares.of(some, measure, n_layers)
            for images, (share, layer) in _means(shares).items():
                yield key | {
                    "cover": cover,
                    "measure": measure,
                    "images": images,
                    **interval_columns("share", share),
                    **layer,
                    "n_layers": n_layers,
                    "n_images": share.n_groups,
                    "n_objects": share.n,
                    **known,
                }


def _means(objects: ObjectShares) -> dict[str, tuple[Interval, Record]]:
    """Returns share and layer columns by the objects averaged over."""
    images = np.array(objects.images)
    best, layer = objects.shares.max(1), objects.shares.argmax(1)
    means: dict[str, tuple[Interval, Record]] = {}
    for name, chosen in (("all", best >= 0), ("hitting", best > 0)):
        if chosen.any():
            share = cluster_share(best[chosen], groups=images[chosen])
            at = cluster_mean(layer[chosen], images[chosen])
            means[name] = share, interval_columns("layer", at)
    peak = int(objects.shares.mean(0).argmax())
    share = cluster_share(objects.shares[:, peak], groups=images)
    means["mean curve"] = share, {"layer": float(peak)}
    return means


def _paper(key: Record) -> Record:
    if key != {"weights": "trained", "lens": "logit", "group": "object"}:
        return {}
    numbers = {name: find(NUMBERS, {"of": name}) for name in ("share", "layer")}
    return {f"paper_{name}": number and number.value for name, number in numbers.items()}
