"""Curves by layer of each kind of lens, with intervals, controls and bands."""

from __future__ import annotations

from .._best import interval_kinds, test_kinds
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import VALUE, Computed, Contrast, Estimate, Summary, SummaryTable, c
from .best_layer import best_layers
from .common_words import common_words
from .options import KINDS, MEASURES
from .peak import peak_objects, peaks
from .shares import COLUMNS as SHARES

WEIGHTS = ("trained", "untrained", "random adapter", "untrained language")
GROUPS = ("object", "inner", "border", "background", "shuffled")
AGREED = c("other_lens").is_not_null()
COUNTED = c("group").is_not_null() & ~AGREED
COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "object color"),
    **columns(TEXT, "lens other_lens"),
    "layer": WHOLE,
    "group": TEXT,
    "cover": NUMBER,
    "weights": TEXT,
    "n_tokens": WHOLE,
    **columns(WHOLE, "strict lenient colour part any_kind piece synonym near near_other"),
    **columns(WHOLE, "same both"),
    "words": TEXT,
}
SUMMARY = Summary(
    by=("weights", "lens", "group", "cover", "layer"),
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
    curve=("weights", "lens", "group", "cover", "measure"),
    order={
        "weights": WEIGHTS,
        "lens": KINDS,
        "measure": MEASURES,
        "group": GROUPS,
        **dict.fromkeys(("cover", "layer")),
    },
)
"""One record per weights, kind of lens, group, cover, layer and measure.

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
        by=("weights", "lens", "group", "cover", "measure", "images"),
        where=COUNTED,
        together=("weights", "lens", "group"),
        columns=SHARES,
        kinds={
            **columns(TEXT, "weights lens group"),
            "cover": NUMBER,
            **columns(TEXT, "measure images"),
            **interval_kinds("share"),
            **interval_kinds("layer"),
            **columns(WHOLE, "n_layers n_images n_objects"),
            **columns(NUMBER, "paper_share paper_layer"),
        },
        order={
            "weights": WEIGHTS,
            "lens": KINDS,
            "measure": MEASURES,
            "group": GROUPS,
            "cover": None,
        },
    ),
    # Every control is read at the layers chosen by the object's tokens.
    "peak": Computed(
        make=peaks,
        by=("lens", "cover", "control_lens", "control_group", "control_weights", "control_cover"),
        where=COUNTED,
        columns=("weights", "lens", "group", *SHARES),
        kinds={
            "lens": TEXT,
            "cover": NUMBER,
            "layers": TEXT,
            "last_layer": WHOLE,
            **interval_kinds("share"),
            **columns(TEXT, "control_lens control_group control_weights"),
            "control_cover": NUMBER,
            **interval_kinds("control_share"),
            **test_kinds("difference"),
            **columns(WHOLE, "n_objects n_images"),
            "method": TEXT,
        },
    ),
    "objects": Computed(
        make=peak_objects,
        by=("lens", "sample", "item", "cover"),
        where=COUNTED & (c("weights") == "trained") & (c("group") == "object"),
        columns=("weights", "lens", "group", *SHARES),
        kinds={"lens": TEXT, "sample": TEXT, "item": WHOLE, **columns(NUMBER, "cover share")},
        order={"lens": KINDS, **dict.fromkeys(("cover", "sample", "item"))},
    ),
    "words": Computed(
        make=common_words,
        by=("weights", "lens", "group", "cover", "layer", "rank"),
        where=COUNTED & c("words").is_not_null(),
        together=("weights", "lens", "group", "layer"),
        columns=("sample", "cover", "object", "n_tokens", "words"),
        kinds={
            **columns(TEXT, "weights lens group"),
            "cover": NUMBER,
            **columns(WHOLE, "layer rank"),
            "word": TEXT,
            "n_tokens": WHOLE,
            "share": NUMBER,
            "n_images": WHOLE,
            "objects": TEXT,
        },
        order={
            "weights": WEIGHTS,
            "lens": KINDS,
            "group": GROUPS,
            **dict.fromkeys(("cover", "layer", "rank")),
        },
    ),
    "agreement": Summary(
        by=("weights", "lens", "other_lens", "group", "cover", "layer"),
        where=AGREED,
        estimates=(
            Estimate("same", c("same"), total=c("n_tokens")),
            Estimate("both", c("both"), total=c("n_tokens")),
        ),
        sizes=("n_objects", "n_images"),
        order={
            "weights": WEIGHTS,
            "lens": KINDS,
            "other_lens": KINDS,
            "group": GROUPS,
            **dict.fromkeys(("cover", "layer")),
        },
    ),
}
