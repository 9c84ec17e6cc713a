"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import ITEM, PROBABILITIES, Part, Partition
from .._tables import Cell
from .estimates import (
    CONTROL,
    NONE,
    PATHS,
    baseline_order,
    flow_baseline,
    flow_paths,
    flow_peaks,
    paths_order,
    peaks_order,
    scanned_layers,
    summarise_flow,
    summary_order,
)


def _edges(weights: Cell, reading: Cell, edges: Cell) -> Part | None:
    if edges in (None, NONE):
        return None
    return (weights, reading, str(edges).removeprefix(CONTROL))


def _flowing(task: Cell, weights: Cell, reading: Cell, edges: Cell, layers: Cell) -> Part | None:
    if edges in (None, NONE):
        return None
    return (task, weights, reading, str(edges).removeprefix(CONTROL), layers)


def _untouched(edges: Cell) -> Part | None:
    return NONE if edges == NONE else None


SUMMARY = Partition(
    summarise_flow,
    ("task", "weights", "reading", "edges", "layers"),
    _flowing,
    (
        *(*ITEM, "layers_kind", "first_layer", "last_layer", "n_layers"),
        *("n_edges", "n_generated_keys", "changed", "correct_after"),
        *("f1", "precision", "recall", "truth_f1", "truth_precision", "truth_recall"),
        *("judge_f1", "judge_precision", "judge_recall"),
        *(*PROBABILITIES, "rank_before", "rank_after"),
    ),
    summary_order,
    scanned_layers,
)
EXTRAS: dict[str, Partition] = {
    "peaks": Partition(
        flow_peaks,
        ("weights", "reading", "edges"),
        _edges,
        ("sample", "error", "task", "layers", "layers_kind", "f1"),
        peaks_order,
        plain=False,
    ),
    "baseline": Partition(
        flow_baseline,
        ("edges",),
        _untouched,
        (
            *("sample", "error", "task", "weights", "correct_before"),
            *("probability_before", "truth_f1", "truth_precision", "truth_recall"),
        ),
        baseline_order,
    ),
    "paths": Partition(
        flow_paths,
        ("task", "weights", "reading", "edges", "layers"),
        lambda task, weights, reading, edges, layers: (
            (task, weights, reading, layers) if edges in PATHS else None
        ),
        (*ITEM, "f1", *PROBABILITIES),
        paths_order,
    ),
}
