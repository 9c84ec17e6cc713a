"""Lens curves by layer and the paper's best-layer statistic, from the rows of a lens study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..stats import bootstrap_mean, paired_difference
from ._paper import paper_number
from ._tables import (
    Cell,
    Record,
    estimate,
    grouped,
    interval_columns,
    make_table,
    number,
    rank,
    records,
    share_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

MEASURES = ("strict", "lenient", "colour", "any_kind")
_WEIGHTS, _GROUPS = rank(("trained", "untrained")), rank(("object", "background", "shuffled"))
_SUMMARY = {
    **dict.fromkeys(("weights", "group"), "string"),
    "layer": "int",
    "measure": "string",
    **estimate("share"),
    **dict.fromkeys(("n_images", "n_objects", "n_tokens"), "int"),
    "control": "string",
    **estimate("difference"),
    "difference_p": "float",
    "method": "string",
}
_BEST = {
    **dict.fromkeys(("weights", "group", "measure", "images"), "string"),
    **estimate("share"),
    **estimate("layer"),
    **dict.fromkeys(("n_layers", "n_images", "n_objects"), "int"),
    **dict.fromkeys(("paper_share", "paper_layer"), "float"),
}


def summarise_lens(table: pa.Table) -> pa.Table:
    """One row per weights, group, layer and measure.

    `share` is hits over tokens of all objects together, its 95% interval from a bootstrap over
    images. For group "object", `difference` is the mean over objects of the share on the object's
    tokens minus that on the background's (`control`) of the same image. Layer 0 is what the
    decoder receives, layer L the output of its last block.
    """
    rows = records(table)
    groups = grouped(rows, ("weights", "group", "layer"))
    found: list[Record] = []
    for (weights, group, layer), items in groups.items():
        images = [str(row["sample"]) for row in items]
        totals = [_count(row, "n_tokens") for row in items]
        background = groups.get((weights, "background", layer), [])
        for measure in MEASURES:
            share = share_of([_count(row, measure) for row in items], totals, images)
            found.append(
                {
                    "weights": str(weights),
                    "group": str(group),
                    "layer": layer,
                    "measure": measure,
                    **interval_columns("share", share),
                    "n_images": share.n_groups,
                    "n_objects": len(items),
                    "n_tokens": sum(totals),
                    **(_difference(items, background, measure) if group == "object" else {}),
                    "method": share.method,
                }
            )
    measures = rank(MEASURES)
    found.sort(
        key=lambda r: (
            _WEIGHTS[str(r["weights"])],
            measures[str(r["measure"])],
            _GROUPS[str(r["group"])],
            int(r["layer"] or 0),
        )
    )
    return make_table(found, _SUMMARY)


def best_layer(table: pa.Table) -> pa.Table:
    """The paper's statistic: for each object the layer with the largest share (the first of equal
    ones), then means over objects.

    `images` says over which: "all" (an object that never hits has share 0 at layer 0), "hitting"
    (without those), or "mean curve" (the peak of the curve averaged over objects). The maximum over
    layers is biased upwards; the same statistic for the control groups shows by how much.
    """
    rows = records(table)
    n_layers = 1 + max((_count(row, "layer") for row in rows), default=0)
    found: list[Record] = []
    for (weights, group), items in grouped(rows, ("weights", "group")).items():
        curves = grouped(items, ("sample", "item"))
        for measure in MEASURES[:2]:
            matrix = np.array([_curve(curve, measure, n_layers) for curve in curves.values()])
            images = [str(sample) for sample, _ in curves]
            base: dict[str, Cell] = {
                "weights": str(weights),
                "group": str(group),
                "measure": measure,
                "n_layers": n_layers,
            }
            for record in _best(matrix, images):
                found.append({**base, **record, **_paper(str(weights), str(group))})
    measures = rank(MEASURES)
    found.sort(
        key=lambda r: (
            _WEIGHTS[str(r["weights"])],
            measures[str(r["measure"])],
            _GROUPS[str(r["group"])],
        )
    )
    return make_table(found, _BEST)


def _best(matrix: np.ndarray, images: list[str]) -> list[dict[str, Cell]]:
    """`matrix` is (objects, layers) shares."""
    best, layer = matrix.max(1), matrix.argmax(1)
    found = []
    for name, chosen in (("all", np.full(len(best), True)), ("hitting", best > 0)):
        kept = [image for image, use in zip(images, chosen, strict=True) if use]
        if not kept:
            continue
        share = bootstrap_mean(best[chosen], kept)
        found.append(
            {
                "images": name,
                **interval_columns("share", share),
                **interval_columns("layer", bootstrap_mean(layer[chosen], kept)),
                "n_images": share.n_groups,
                "n_objects": share.n,
            }
        )
    mean = matrix.mean(0)
    peak = int(mean.argmax())
    found.append(
        {
            "images": "mean curve",
            **interval_columns("share", bootstrap_mean(matrix[:, peak], images)),
            "layer": float(peak),
            "n_images": len(set(images)),
            "n_objects": len(images),
        }
    )
    return found


def _paper(weights: str, group: str) -> Record:
    if (weights, group) != ("trained", "object"):
        return {}
    share = paper_number("lens", "best-layer", "share")
    layer = paper_number("lens", "best-layer", "layer")
    return {
        "paper_share": share and share.value,
        "paper_layer": layer and layer.value,
    }


def _difference(
    items: list[dict[str, Cell]], background: list[dict[str, Cell]], measure: str
) -> Record:
    by_object = {(row["sample"], row["item"]): row for row in background}
    pairs = [
        (row, by_object[row["sample"], row["item"]])
        for row in items
        if (row["sample"], row["item"]) in by_object
    ]
    if not pairs:
        return {}
    difference = paired_difference(
        [_share(a, measure) for a, _ in pairs],
        [_share(b, measure) for _, b in pairs],
        [str(a["sample"]) for a, _ in pairs],
    )
    return {
        "control": "background",
        **interval_columns("difference", difference),
        "difference_p": number(difference.p),
    }


def _curve(rows: list[dict[str, Cell]], measure: str, n_layers: int) -> list[float]:
    shares = {row["layer"]: _share(row, measure) for row in rows}
    return [shares.get(layer, 0.0) for layer in range(n_layers)]


def _share(row: Record, measure: str) -> float:
    return _count(row, measure) / _count(row, "n_tokens")


def _count(row: Record, column: str) -> int:
    return int(row[column] or 0)
