"""Accuracy against the share of visual tokens that is kept, with its controls."""

from __future__ import annotations

from ..columns import NUMBER, TEXT, TRUTH, WHOLE, Columns, columns
from ..summary import Contrast, Estimate, Summary, c

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "question answer kind selector"),
    "share": NUMBER,
    **columns(WHOLE, "n_visual n_kept"),
    "union": NUMBER,
    **columns(WHOLE, "n_context n_positions context_bytes whole_bytes"),
    "text": TEXT,
    "correct": TRUTH,
    "probability": NUMBER,
}
ATTENTION, RANDOM, NAIVE = SELECTORS = ("attention", "random", "naive")
_KEPT = {"selector": ATTENTION}

SUMMARY = Summary(
    by=("selector", "share"),
    where=c("selector").is_not_null(),
    estimates=(
        Estimate("accuracy", c("correct")),
        Estimate("pairs_right", c("correct"), every=True),
        Estimate("probability", c("probability")),
    ),
    means={
        **{name: c(name).mean() for name in ("n_kept", "union", "n_context", "n_visual")},
        "bytes_share": c("context_bytes").sum() / c("whole_bytes").sum(),
    },
    differences=(
        Contrast(
            "difference", c("correct"), minus={"selector": RANDOM}, where=_KEPT, control=RANDOM
        ),
        Contrast("loss", c("correct"), minus={"share": 1.0}, where=_KEPT, reverse=True),
    ),
    curve=("selector",),
    order={"selector": SELECTORS, "share": None},
)
"""One record per selector and share.

`accuracy` is the share of questions whose text contains the answer, `pairs_right` that of images
whose questions are all right. `n_kept` visual tokens are kept in each block, `union` is the share
of them that any block keeps, `bytes_share` that of the whole context's keys and values. For
"attention", `difference` is its accuracy minus that of as many random tokens, and `loss` that of
the whole context minus its own, each on the same questions.
"""
EXTRAS: dict[str, Summary] = {}
