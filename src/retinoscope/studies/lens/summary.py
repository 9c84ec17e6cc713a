"""Lens curves by layer, with intervals, controls and bands."""

from __future__ import annotations

from .._best import interval_kinds, test_kinds
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import VALUE, Computed, Contrast, Estimate, Summary, SummaryTable, c
from .best_layer import best_layers
from .common_words import common_words
from .peak import peak_objects, peaks
from .shares import COLUMNS as SHARES

MEASURES = (
    *("strict", "lenient", "colour", "any_kind"),
    *("piece", "synonym", "near", "near_other"),
)
"""What is counted; the second line only if the study measured what is near a name."""
WEIGHTS = ("trained", "untrained", "random adapter", "untrained language")
GROUPS = ("object", "background", "shuffled")
COUNTED = c("group").is_not_null()
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
    where=COUNTED,
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
0 is the decoder's input, layer L the output of its last block.

To choose a layer, use `difference_p_corrected` and `share_band_low` to `share_band_high`, which
hold for all layers of a curve together.
"""
EXTRAS: dict[str, SummaryTable] = {
    "best_layer": Computed(
        make=best_layers,
        by=("weights", "group", "cover", "measure", "images"),
        where=COUNTED,
        together=("weights", "group"),
        columns=SHARES,
        kinds={
            **columns(TEXT, "weights group"),
            "cover": NUMBER,
            **columns(TEXT, "measure images"),
            **interval_kinds("share"),
            **interval_kinds("layer"),
            **columns(WHOLE, "n_layers n_images n_objects"),
            **columns(NUMBER, "paper_share paper_layer"),
        },
        order={"weights": WEIGHTS, "measure": MEASURES, "group": GROUPS, "cover": None},
    ),
    # Every control is read at the layers chosen by the object's tokens.
    "peak": Computed(
        make=peaks,
        by=("cover", "control_group", "control_weights", "control_cover"),
        where=COUNTED,
        columns=("weights", "group", *SHARES),
        kinds={
            "cover": NUMBER,
            "layers": TEXT,
            "last_layer": WHOLE,
            **interval_kinds("share"),
            **columns(TEXT, "control_group control_weights"),
            "control_cover": NUMBER,
            **interval_kinds("control_share"),
            **test_kinds("difference"),
            **columns(WHOLE, "n_objects n_images"),
            "method": TEXT,
        },
    ),
    "objects": Computed(
        make=peak_objects,
        by=("sample", "item", "cover"),
        where=(c("weights") == "trained") & (c("group") == "object"),
        columns=("weights", "group", *SHARES),
        kinds={"sample": TEXT, "item": WHOLE, **columns(NUMBER, "cover share")},
        order=dict.fromkeys(("cover", "sample", "item")),
    ),
    "words": Computed(
        make=common_words,
        by=("weights", "group", "cover", "layer", "rank"),
        where=COUNTED & c("words").is_not_null(),
        together=("weights", "group", "layer"),
        columns=("sample", "cover", "object", "n_tokens", "words"),
        kinds={
            **columns(TEXT, "weights group"),
            "cover": NUMBER,
            **columns(WHOLE, "layer rank"),
            "word": TEXT,
            "n_tokens": WHOLE,
            "share": NUMBER,
            "n_images": WHOLE,
            "objects": TEXT,
        },
        order={"weights": WEIGHTS, "group": GROUPS, **dict.fromkeys(("cover", "layer", "rank"))},
    ),
}
