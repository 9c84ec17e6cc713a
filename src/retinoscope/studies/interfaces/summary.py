"""Tables: answers by interface, the audit, and the experiments on an object's tokens."""

from __future__ import annotations

import polars as pl

from .._best import PEAK, Candidates
from ..columns import NUMBER, NUMBERS, TEXT, TRUTH, WHOLE, Columns, columns
from ..summary import SEEN, Computed, Contrast, Estimate, Peaks, Summary, SummaryTable, c
from ..token_sets import NOTHING
from ..windows import WINDOW_COLUMNS
from .best_words import MEASURES as WORD_MEASURES
from .best_words import best_words
from .options import MEASURES, SETS
from .pairs import KINDS as PAIR_KINDS
from .pairs import SIZES, pairs

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "interface measure size object question answer said"),
    **columns(NUMBER, "score probability"),
    "declared_by": TEXT,
    **columns(NUMBER, "auc rank concentration"),
    **columns(WHOLE, "n_changed n_tokens"),
    **columns(TEXT, "edit token_set"),
    **WINDOW_COLUMNS,
    **columns(TRUTH, "baseline_correct correct"),
    **columns(NUMBER, "probability_before probability_after"),
    "word": TEXT,
    **columns(NUMBERS, "top1 reciprocal"),
}
_ASKED = c("measure").is_not_null() & c("score").is_not_null()
_NO_WORD = [name for name in MEASURES if name.startswith(("present", "absent", "caption"))]
SUMMARY = Summary(
    by=("interface", "measure"),
    where=_ASKED,
    estimates=(Estimate("share", c("score")),),
    means={
        "constant": c("answer").filter(~c("measure").is_in(_NO_WORD)).unique_counts().max()
        / c("answer").len()
    },
    order={"interface": SEEN, "measure": tuple(MEASURES)},
)
"""One record per interface and measure.

`share` is the share of right answers; of "absent" and "absent-adversarial" the share of yes, which
is wrong. "caption-precision" is a mean over descriptions that name something. `constant` is what
the most frequent right answer would score.
"""
EDIT = ("interface", "edit", "token_set")
_EDITED = c("baseline_correct") & (c("edit") != NOTHING)
_ORDER = {"interface": SEEN, "edit": ("ablation", "knockout"), "token_set": tuple(SETS)}
EXTRAS: dict[str, SummaryTable] = {
    "sizes": Summary(
        by=("interface", "measure", "size"),
        where=_ASKED & c("size").is_not_null(),
        estimates=(Estimate("share", c("score")),),
        order={"interface": SEEN, "measure": tuple(MEASURES), "size": SIZES[1:]},
    ),
    "pairs": Computed(
        make=pairs,
        by=("measure", "size", "a", "b"),
        where=_ASKED,
        columns=("sample", "item", "interface", "measure", "size", "score"),
        kinds=PAIR_KINDS,
        order={"measure": tuple(MEASURES), "size": SIZES, "a": SEEN, "b": SEEN},
    ),
    "audit": Summary(
        by=("interface", "declared_by"),
        where=c("declared_by").is_not_null(),
        estimates=(
            Estimate("auc", c("auc")),
            Estimate("rank", c("rank"), share=False),
            Estimate("changed", c("n_changed"), total=c("n_tokens")),
            Estimate("concentration", c("concentration")),
        ),
        means={"n_tokens": c("n_tokens").mean(), "n_undefined": c("auc").null_count()},
        differences=(Contrast("above", c("auc"), minus=pl.lit(0.5)),),
        order={"interface": SEEN},
    ),
    "edits": Summary(
        by=(*EDIT, *WINDOW_COLUMNS),
        where=_EDITED,
        estimates=(
            Estimate("lost", ~c("correct")),
            Estimate(
                "probability_change", c("probability_after") - c("probability_before"), share=False
            ),
        ),
        means={"n_tokens": c("n_tokens").mean()},
        differences=(
            Contrast(
                "difference", ~c("correct"), minus={"token_set": "random"}, control="random tokens"
            ),
        ),
        curve=EDIT,
        order=_ORDER | {"window": SEEN},
    ),
    "windows": Peaks(
        by=EDIT,
        where=_EDITED & (c("edit") == "knockout"),
        of=~c("correct"),
        minus={"token_set": "random"},
        among={"window": Candidates(("window",), c("window") != "all")},
        order=_ORDER,
    ),
    "words": Computed(
        make=best_words,
        by=("interface", "word", "measure", "token_set"),
        together=("interface",),
        where=c("word").is_not_null(),
        columns=("sample", "item", "word", "token_set", "top1", "reciprocal"),
        kinds={**columns(TEXT, "interface word measure token_set"), **PEAK},
        order={
            "interface": SEEN,
            "word": ("name", "colour"),
            "measure": WORD_MEASURES,
            "token_set": tuple(SETS),
        },
    ),
}
"""Further tables.

"sizes": `SUMMARY` by the size of the one object that is asked about. "pairs": differences between
interfaces on the same questions, overall and by size, with p values corrected for the pairs of one
measure and size. "audit": how well declared origins tell the tokens that an object really changed
(`auc`, `rank`), the share of tokens that changed, and the share of the change that lies in as many
tokens as the experiments take. "edits": the share of right answers lost without some tokens, and
the difference from as many random ones. "windows": the window of layers with the largest loss,
chosen on one half of the images and judged on the other. "words": how well the tokens name the
object, at the layer that the other half of the images chose.
"""
