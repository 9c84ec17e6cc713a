"""Table 2 of Neo et al. 2024 from the rows of an attention knockout, with intervals and control."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from .._best import Candidates
from .._paper import known
from ..columns import NUMBER, TEXT, TRUTH, WHOLE, Columns, columns
from ..summary import Computed, Contrast, Estimate, Peaks, Record, Summary, c
from ..token_sets import NOTHING, SET_COLUMNS
from ..windows import SLIDING, WINDOW_COLUMNS, layers_label
from .options import TARGETS, WINDOWS
from .paper import NUMBERS

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "object question answer kind mode"),
    **SET_COLUMNS,
    "target": TEXT,
    **WINDOW_COLUMNS,
    **columns(WHOLE, "n_source n_edges"),
    **columns(TRUTH, "baseline_correct correct"),
    **columns(NUMBER, "probability_before probability_after"),
    **columns(TEXT, "answer_before answer_after"),
}
EDGE = ("token_set", "rings", "is_control", "target")
EDGE_ORDER = {
    "token_set": ("object", "rest", "visual", "last-row", "question"),
    **dict.fromkeys(("rings", "is_control")),
    "target": TARGETS,
}
CUT = c("baseline_correct") & (c("token_set") != NOTHING)
SUMMARY = Summary(
    by=(*EDGE, *WINDOW_COLUMNS),
    where=CUT,
    estimates=(
        Estimate("accuracy", c("correct"), band=True),
        Estimate(
            "probability_change", c("probability_after") - c("probability_before"), share=False
        ),
    ),
    means={name: c(name).mean() for name in ("n_source", "n_edges")},
    differences=(
        Contrast(
            "difference",
            c("correct"),
            minus={"is_control": True},
            where={"token_set": "object", "rings": 1, "is_control": False},
            control="as many random tokens",
        ),
    ),
    curve=(*EDGE, c("window") == SLIDING),
    order=EDGE_ORDER | {"window": WINDOWS, "first_layer": None},
    known=known(NUMBERS, *EDGE, "window"),
)
"""One record per source, target and window.

`accuracy` is the relative accuracy: the share of the initially correct questions that stay correct,
1.00 meaning no impact. `probability_change` is the mean change of the probability of the *expected*
answer's first piece. For the object with one ring, `difference` is its accuracy minus that of as
many random tokens outside it, on the same questions: negative if the object matters more. Named
windows are corrected together, and so are sliding ones.
"""
PEAKS = Peaks(
    by=EDGE,
    where=CUT,
    of=c("correct"),
    minus={"is_control": True},
    kind="windows",
    among={
        "named": Candidates(("window",), ~c("window").is_in(["all", SLIDING])),
        "sliding": Candidates(("first_layer", "last_layer"), c("window") == SLIDING, layers_label),
    },
    smallest=lambda key: True,
    order=EDGE_ORDER | {"windows": None},
)
"""The window that matters most, for each source and target: chosen on one half of the images and
judged on the other. `value` is the relative accuracy, `control` that of as many random tokens in
the same windows."""
_ACCURACY = Estimate("accuracy", c("correct"))


def _accuracy(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields accuracy of the clean answers, over all questions and for each kind of them."""
    parts = {"all": rows} | {
        str(kind): some for (kind,), some in sorted(rows.partition_by("kind", as_dict=True).items())
    }
    for kind, some in parts.items():
        accuracy = _ACCURACY.over(some)
        sizes = {"n": some.height, "n_samples": some["sample"].n_unique()}
        yield {"kind": kind} | _ACCURACY.columns(accuracy) | sizes | {"method": accuracy.method}


EXTRAS = {
    "peaks": PEAKS,
    "baseline": Computed(
        make=_accuracy,
        by=("kind",),
        columns=("kind", "correct"),
        where=c("token_set") == NOTHING,
        kinds={"kind": TEXT, **_ACCURACY.kinds, **columns(WHOLE, "n n_samples"), "method": TEXT},
    ),
}
