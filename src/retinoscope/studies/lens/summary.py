"""Lens curves by layer, with intervals, controls and bands."""

from __future__ import annotations

from .._partition import ITEM, Part, Partition
from .._tables import Cell
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import VALUE, Contrast, Estimate, Summary, c
from . import peak
from .best_layer import (
    GROUPS,
    MEASURES,
    WEIGHTS,
    best_layer,
    best_order,
    common_words,
    words_order,
)


def _curves(weights: Cell, group: Cell) -> Part | None:
    return None if group is None else (weights, group)


COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "object color"),
    "layer": WHOLE,
    "group": TEXT,
    "cover": NUMBER,
    "weights": TEXT,
    **columns(WHOLE, "n_tokens strict lenient colour any_kind piece synonym near near_other"),
    "words": TEXT,
}
SUMMARY = Summary(
    by=("weights", "group", "cover", "layer"),
    where=c("group").is_not_null(),
    measures=MEASURES,
    estimates=(Estimate("share", VALUE, total=c("n_tokens"), band=True),),
    means={"n_tokens": c("n_tokens").sum()},
    differences=(
        Contrast(
            "difference",
            VALUE / c("n_tokens"),
            minus={"group": "background", "cover": None},
            where={"group": "object"},
            control="background",
        ),
    ),
    sizes=("n_objects", "n_images"),
    curve=("weights", "group", "cover", "measure"),
    order={
        "weights": WEIGHTS,
        "measure": MEASURES,
        "group": GROUPS,
        **dict.fromkeys(("cover", "layer")),
    },
)
"""One record per weights, group, cover, layer and measure.

`cover` is the share of a token's box that a mask must cover, null for tokens of no object. `share`
is hits over tokens of all objects together. For group "object", `difference` is the mean over
objects of the share on the object's tokens minus that on the background's of the same image. Layer
0 is what the decoder receives, layer L the output of its last block.

Whoever looks for a layer reads `difference_p_corrected` and `share_band_low` to `share_band_high`:
these hold for all layers of a curve together.
"""
EXTRAS: dict[str, Partition] = {
    "best_layer": Partition(
        best_layer,
        ("weights", "group"),
        _curves,
        (*ITEM, "cover", "layer", "n_tokens", *MEASURES[:2]),
        best_order,
    ),
    "peak": Partition(
        peak.peaks,
        ("weights", "group"),
        # Every control is read at the layers that the object's tokens choose.
        lambda weights, group: None if group is None else "all",
        (*ITEM, "cover", "layer", "n_tokens", *MEASURES[:2]),
        peak.peak_order,
    ),
    "objects": Partition(
        peak.peak_objects,
        ("weights", "group"),
        lambda weights, group: "all" if (weights, group) == ("trained", "object") else None,
        (*ITEM, "cover", "layer", "n_tokens", *MEASURES[:2]),
        peak.object_order,
    ),
    "words": Partition(
        common_words,
        ("weights", "group", "layer"),
        lambda weights, group, layer: None if group is None else (weights, group, layer),
        (*ITEM, "cover", "object", "n_tokens", "words"),
        words_order,
    ),
}
