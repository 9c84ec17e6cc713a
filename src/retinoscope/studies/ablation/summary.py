"""Table 1 of Neo et al. 2024 from the rows of a token ablation, with intervals and controls."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ...stats import Interval, cluster_share
from .._map_options import COMPLETENESS
from .._paper import known
from ..columns import NUMBER, TEXT, TRUTH, WHOLE, Columns, columns
from ..summary import Computed, Contrast, Estimate, Record, Summary, c
from ..token_sets import NOTHING, SET_COLUMNS
from .options import MODES, TASKS
from .paper import NUMBERS

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    **columns(TEXT, "object task kind question answer mode"),
    **SET_COLUMNS,
    "n_tokens": WHOLE,
    "fill": TEXT,
    **columns(TRUTH, "kept baseline_correct correct"),
    **columns(NUMBER, "probability_before probability_after"),
    **columns(TEXT, "answer_before answer_after"),
    COMPLETENESS: NUMBER,
}
ORDER = {"task": TASKS, "mode": MODES}
SUMMARY = Summary(
    by=("task", "mode", *SET_COLUMNS),
    where=c("baseline_correct") & (c("token_set") != NOTHING) & c("kept").fill_null(True),
    estimates=(
        Estimate("decrease", ~c("correct")),
        Estimate(
            "probability_change", c("probability_after") - c("probability_before"), share=False
        ),
    ),
    means={"n_tokens": c("n_tokens").mean()},
    differences=(
        Contrast(
            "difference",
            ~c("correct"),
            minus={"is_control": True},
            where={"token_set": "object", "is_control": False},
            control="as many random tokens",
        ),
    ),
    order=ORDER
    | {"token_set": ("object", "registers", "gradient", "random")}
    | dict.fromkeys(("rings", "n_drawn", "is_control")),
    known=known(NUMBERS, "task", *SET_COLUMNS),
)
"""One record per task, mode and token set.

`decrease` is the share of initially correct answers that became incorrect. For the object's sets,
`difference` is the decrease minus that of as many random tokens outside the set, on the same
prompts. `paper` is the paper's number for LLaVA-1.5-7B on COCO, if known.
"""


def _accuracy(rows: pl.DataFrame) -> Iterator[Record]:
    """Yields accuracy over all clean answers; of yes/no questions also over present and absent
    objects separately, and balanced: the mean of these two."""
    yield _part(rows, "all")
    if rows["task"][0] != "polling":
        return
    asked = {
        part: some
        for part, answer in (("present", "yes"), ("absent", "no"))
        if (some := rows.filter(c("answer") == answer)).height
    }
    yield from (_part(some, part) for part, some in asked.items())
    if len(asked) == 2:
        # The mean of these weighted items is the mean of the two accuracies.
        weighted = pl.concat(
            some.with_columns(weight=pl.lit(rows.height / 2 / some.height))
            for some in asked.values()
        )
        weight = weighted["weight"].to_numpy()
        balanced = cluster_share(
            weighted["correct"].to_numpy() * weight, weight, weighted["sample"].to_numpy()
        )
        yield _record(rows, "balanced", balanced, f"balanced {balanced.method}")


def _part(rows: pl.DataFrame, part: str) -> Record:
    accuracy = ACCURACY.over(rows)
    return _record(rows, part, accuracy, accuracy.method)


def _record(rows: pl.DataFrame, part: str, accuracy: Interval, method: str) -> Record:
    return {
        "task": rows["task"][0],
        "mode": rows["mode"][0],
        "part": part,
        **ACCURACY.columns(accuracy),
        "n": rows.height,
        "n_samples": rows["sample"].n_unique(),
        "method": method,
    }


ACCURACY = Estimate("accuracy", c("correct"))
EXTRAS = {
    "baseline": Computed(
        make=_accuracy,
        by=("task", "mode", "part"),
        together=("task", "mode"),
        columns=("answer", "correct"),
        where=c("token_set") == NOTHING,
        kinds={
            **columns(TEXT, "task mode part"),
            **ACCURACY.kinds,
            **columns(WHOLE, "n n_samples"),
            "method": TEXT,
        },
        order=ORDER,
    )
}
