"""Accuracy on an object's own ground and on the other, by objective, over images and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from ...data.scenes import GROUNDS
from ...stats import resampled_ratio
from .._training_runs import KINDS, RUN_COLUMNS, Draws, TrainingRuns, compared
from ..columns import TEXT, TRUTH, WHOLE, Columns, columns
from ..summary import Computed, Record, SummaryTable, c

COLUMNS: Columns = {
    **columns(TEXT, "sample error"),
    "item": WHOLE,
    "model": TEXT,
    **RUN_COLUMNS,
    **columns(TEXT, "side ground"),
    **columns(TRUTH, "correct side_correct"),
}
CLASS = "grounded-class"
"""The objective with which the others are compared."""
MEASURES = MATCHED, MISMATCHED, GAP, WORST = ("matched", "mismatched", "gap", "worst group")
PAPER: Mapping[tuple[str, str], float] = {
    (CLASS, MATCHED): 0.802,
    (CLASS, MISMATCHED): 0.481,
    (CLASS, GAP): 0.321,
    ("grounded-max", MATCHED): 0.769,
    ("grounded-max", MISMATCHED): 0.749,
    ("grounded-max", GAP): 0.020,
}
"""The paper's results on Waterbirds, water birds: CLIP's class token and CLIPpy's maximum."""
_RIGHT = {"kind": "correct", "side": "side_correct"}
_KEY = ("objective", "measure", "group")


def _estimates(rows: pl.DataFrame) -> Iterator[Record]:
    # A model that is not a training run is its own objective.
    named = rows.with_columns(
        objective=pl.coalesce("objective", "model"), training_seed=c("training_seed").fill_null(0)
    )
    runs = {
        (objective, measure, group): TrainingRuns.of(
            of_objective,
            lambda some, measure=measure, correct=correct: _measured(some, measure, correct),
        )
        for (objective,), of_objective in named.partition_by(
            "objective", maintain_order=True, as_dict=True
        ).items()
        for group, correct in _RIGHT.items()
        for measure in MEASURES
    }
    for record in compared(runs, _KEY, lambda objective: CLASS):
        known = PAPER.get((str(record["objective"]), str(record["measure"])))
        yield record | {"paper": known if record["group"] == "side" else None}


def _measured(rows: pl.DataFrame, measure: str, correct: str) -> tuple[float, Draws]:
    right = rows[correct].fill_null(False).cast(pl.Float64).to_numpy()
    home = (rows["side"] == rows["ground"]).to_numpy()
    images = rows["sample"].to_numpy()

    def accuracy(chosen: np.ndarray) -> tuple[float, Draws]:
        # Every image takes part in every resample, so that groups are drawn together.
        value = float(right[chosen].mean()) if chosen.any() else float("nan")
        return value, resampled_ratio(right * chosen, chosen.astype(float), images)

    if measure == WORST:
        groups = [
            on_ground & (rows["side"] == side).to_numpy()
            for on_ground in (home, ~home)
            for side in GROUNDS
        ]
        values, draws = zip(*(accuracy(group) for group in groups if group.any()), strict=True)
        return min(values), np.nanmin(np.stack(draws), 0)
    matched, mismatched = accuracy(home), accuracy(~home)
    gap = matched[0] - mismatched[0], matched[1] - mismatched[1]
    return {MATCHED: matched, MISMATCHED: mismatched, GAP: gap}[measure]


SUMMARY = Computed(
    make=_estimates,
    by=_KEY,
    columns=("model", *RUN_COLUMNS, "side", "ground", *_RIGHT.values()),
    where=c("model").is_not_null(),
    kinds={**columns(TEXT, "objective measure group"), **KINDS},
    order={"objective": None, "group": None, "measure": MEASURES},
)
"""One record per objective, measure and group; intervals over images and seeds.

`measure` is "matched" (the object's own ground), "mismatched", "gap" (their difference, on the same
objects) or "worst group" (the least accurate of side x ground); `group` "kind" or "side" defines
correct answers. `difference` is from the objective "grounded-class".
"""
EXTRAS: dict[str, SummaryTable] = {}
