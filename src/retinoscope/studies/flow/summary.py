"""Effects of blocking each edge on the words, with intervals, controls and an untrained copy."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from .._best import Candidates
from ..columns import NUMBER, TEXT, TRUTH, WHOLE, Columns, columns
from ..summary import SEEN, Computed, Contrast, Estimate, Peaks, Record, Summary, c
from ..token_sets import NOTHING
from ..windows import layers_label
from .layers import KINDS
from .options import TASKS

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "task weights question answer kind edges"),
    "is_control": TRUTH,
    **columns(TEXT, "reading layers"),
    **columns(WHOLE, "first_layer last_layer n_layers n_edges n_generated_keys"),
    **columns(TEXT, "text_before text_after"),
    "changed": TRUTH,
    **columns(WHOLE, "tp fp fn"),
    **columns(NUMBER, "precision recall f1 truth_precision truth_recall truth_f1"),
    **columns(NUMBER, "judge_precision judge_recall judge_f1"),
    "judge_tokens": WHOLE,
    **columns(TEXT, "judge_prompt judge_answer"),
    **columns(NUMBER, "probability_before probability_after"),
    **columns(WHOLE, "rank_before rank_after"),
    **columns(TRUTH, "correct_before correct_after"),
}
PATHS = ("image:query", "image:generated")
"""The image's paths to the words: through the question's tokens, and directly."""
SCORES = {"description": "f1", "question": "probability_change"}
"""The score by which an effect is compared with its control."""

_CHANGE = {name: c(f"{name}_after") - c(f"{name}_before") for name in ("probability", "rank")}
_SCORE = pl.when(c("task") == "description").then(c("f1")).otherwise(_CHANGE["probability"])
_AT = ("layers", "first_layer", "last_layer")
_WEIGHTS = ("trained", "untrained")
_EDGES = {"reading": None, "edges": SEEN, "is_control": None}
_LAYERS = {"layers": KINDS, "first_layer": None}


def _undefined(name: str) -> pl.Expr:
    described = c("task").first() == "description"
    return pl.when(described).then(c(name).null_count()).otherwise(0).cast(pl.Int64)


SUMMARY = Summary(
    by=("task", "weights", "edges", "is_control", "reading", *_AT),
    where=c("edges") != NOTHING,
    first=("n_layers",),
    estimates=(
        Estimate("f1", c("f1"), band=True),
        *(Estimate(name, c(name)) for name in ("precision", "recall")),
        *(Estimate(name, c(name)) for name in ("truth_f1", "truth_precision", "truth_recall")),
        *(Estimate(name, c(name)) for name in ("judge_f1", "judge_precision", "judge_recall")),
        Estimate("changed", c("changed")),
        Estimate("correct", c("correct_after")),
        Estimate("probability_change", _CHANGE["probability"], share=False, band=True),
        Estimate("rank_change", _CHANGE["rank"], share=False),
    ),
    means={
        "n_undefined": _undefined("f1"),
        **{name: c(name).mean() for name in ("n_edges", "n_generated_keys")},
    },
    differences=(
        Contrast(
            "difference",
            _SCORE,
            minus={"is_control": True},
            where={"is_control": False},
            control="as many random edges",
        ),
    ),
    curve=("task", "weights", "reading", "edges", "is_control", "layers"),
    order={"task": TASKS, "weights": _WEIGHTS} | _EDGES | _LAYERS,
    interval_of=lambda record: SCORES[str(record["task"])],
)
"""One record per task, weights, reading, edges and layer set.

For descriptions: precision, recall and F1 of the objects still named, against those of the unedited
description and (`truth_...`) against those in the image; undefined values are excluded from the
means, `n_undefined` counts those of F1. For questions: the mean change of the right answer's
probability and rank at the prompt's last position, over all questions, and the share of texts that
contain the answer. `changed` is the share of texts that differ from the unedited ones. `difference`
is F1 (for questions: the change of probability) minus that under as many random edges, on the same
prompts: negative if the edges matter more.
"""
_BASELINE = Summary(
    by=("task", "weights"),
    where=c("edges") == NOTHING,
    estimates=(
        *(Estimate(name, c(name)) for name in ("truth_f1", "truth_precision", "truth_recall")),
        Estimate("correct", c("correct_before")),
        Estimate("probability", c("probability_before")),
    ),
    means={"n_undefined": _undefined("truth_f1")},
    order={"task": TASKS, "weights": _WEIGHTS},
    interval_of=lambda record: "truth_f1" if record["task"] == "description" else "correct",
)
"""The unedited model: how well it describes the images and answers the questions."""
_PEAKS = Peaks(
    by=("weights", "reading", "edges", "layers"),
    where=(c("task") == "description")
    & ~c("is_control")
    & (c("edges") != NOTHING)
    & (c("layers") != "all"),
    of=c("f1"),
    among={"": Candidates(("first_layer", "last_layer"), label=layers_label)},
    smallest=lambda key: key["layers"] != "keep",
    order={"weights": _WEIGHTS, "reading": None, "edges": SEEN, "layers": KINDS},
)
"""The layers where blocking matters most (for kinds "slide" and "from": least F1) or that keep most
when only they stay open ("keep": most F1), for descriptions; chosen on one half of the images and
judged on the other."""
_BETWEEN = Contrast("difference", _SCORE, minus={"edges": PATHS[1]})


def _paths(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields F1 without image:query minus F1 without image:generated, on the same prompts: positive
    if the direct path matters more."""
    through, direct = (rows.filter(c("edges") == edges) for edges in PATHS)
    difference = _BETWEEN.over(through, direct)
    if difference is not None:
        yield {
            **rows.select("task", "weights", "reading", *_AT).row(0, named=True),
            **_BETWEEN.columns(difference),
            "n": difference.n,
            "n_samples": difference.n_groups,
            "method": difference.method,
        }


EXTRAS = {
    "peaks": _PEAKS,
    "baseline": _BASELINE,
    "paths": Computed(
        make=_paths,
        by=("task", "weights", "reading", *_AT),
        together=("task", "weights", "reading", *_AT),
        where=c("edges").is_in(PATHS) & ~c("is_control"),
        columns=("item", "edges", *_SCORE.meta.root_names()),
        kinds={
            **{name: COLUMNS[name] for name in ("task", "weights", "reading", *_AT)},
            **_BETWEEN.kinds,
            **columns(WHOLE, "n n_samples"),
            "method": TEXT,
        },
        order={"task": TASKS, "weights": _WEIGHTS, "reading": None} | _LAYERS,
    ),
}
