"""Which blocks and heads look at the object that is named, against chance and shuffled masks."""

from __future__ import annotations

from .._best import Candidates
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import Contrast, Estimate, Peaks, Summary, c

ROWS = ("predicting", "word")
COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "object weights row"),
    **columns(WHOLE, "layer head n_tokens"),
    **columns(NUMBER, "to_image inside peak chance shuffled_inside shuffled_peak"),
}
MEAN = c("head") == -1
"""The mean of a block's heads."""
_BANDS = ("inside", "chance", "shuffled_inside")
"""Measures drawn as curves over blocks."""
_ORDER = {"weights": ("trained", "untrained"), "row": ROWS}

SUMMARY = Summary(
    by=("weights", "row", "layer", "head"),
    where=c("row").is_not_null(),
    estimates=tuple(
        Estimate(name, c(name), band=name in _BANDS)
        for name in ("to_image", "inside", "peak", "chance", "shuffled_inside", "shuffled_peak")
    ),
    means={"n_undefined": c("inside").null_count()},
    differences=(Contrast("difference", c("inside"), minus=c("shuffled_inside")),),
    curve=("weights", "row", MEAN),
    order=_ORDER | dict.fromkeys(("layer", "head")),
    interval_of=lambda record: "inside",
)
"""One record per weights, kind of row, block and head (-1: the mean of all heads).

`difference` is "inside" minus "shuffled_inside" on the same words; rows that give the image no
attention have neither and are counted in `n_undefined`. The blocks' means over heads are corrected
together, and so are all single heads.
"""
EXTRAS = {
    "peaks": Peaks(
        by=("weights", "row"),
        where=c("row").is_not_null(),
        of=c("inside"),
        minus=c("shuffled_inside"),
        kind="among",
        among={
            "blocks": Candidates(("layer",), MEAN, "layer {}".format),
            "heads": Candidates(("layer", "head"), ~MEAN, "layer {}, head {}".format),
        },
        order=_ORDER | {"among": None},
    )
}
"""The block (mean of its heads) and the head that look most at the object: chosen on one half of
the images and judged on the other. `value` is "inside", `control` "shuffled_inside" on the same
words."""
