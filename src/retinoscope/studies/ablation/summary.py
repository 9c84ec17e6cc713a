"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import ITEM, PROBABILITIES, Part, Partition
from .._tables import Cell
from .estimates import baseline, baseline_order, summarise_ablation, summary_order


def _ablated(task: Cell, mode: Cell, condition: Cell) -> Part | None:
    # A set and its random control are compared.
    name = str(condition).removeprefix("random=")
    return None if condition in (None, "none") else (task, mode, name)


def _clean(task: Cell, mode: Cell, condition: Cell) -> Part | None:
    return (task, mode) if condition == "none" else None


SUMMARY = Partition(
    summarise_ablation,
    ("task", "mode", "condition"),
    _ablated,
    (*ITEM, "kept", "baseline_correct", "correct", "n_tokens", *PROBABILITIES),
    summary_order,
)
EXTRAS: dict[str, Partition] = {
    "baseline": Partition(
        baseline,
        ("task", "mode", "condition"),
        _clean,
        ("sample", "error", "answer", "correct"),
        baseline_order,
    )
}
