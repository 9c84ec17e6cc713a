"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import ITEM, PROBABILITIES, Part, Partition
from .._tables import Cell
from .estimates import (
    knockout_baseline,
    knockout_peaks,
    peaks_order,
    scanned_windows,
    summarise_knockout,
    summary_order,
)


def _cut(source: Cell, target: Cell, window: Cell) -> Part | None:
    name = str(source).removeprefix("random=")
    return None if source in (None, "none") else (name, target, window)


def _uncut(source: Cell) -> Part | None:
    return "none" if source == "none" else None


def _windows(source: Cell, target: Cell) -> Part | None:
    if source in (None, "none"):
        return None
    return (str(source).removeprefix("random="), target)


SUMMARY = Partition(
    summarise_knockout,
    ("source", "target", "window"),
    _cut,
    (
        *(*ITEM, "first_layer", "last_layer", "n_source", "n_edges"),
        *("baseline_correct", "correct", *PROBABILITIES),
    ),
    summary_order,
    scanned_windows,
)
EXTRAS: dict[str, Partition] = {
    "peaks": Partition(
        knockout_peaks,
        ("source", "target"),
        _windows,
        ("sample", "window", "baseline_correct", "correct"),
        peaks_order,
        plain=False,
    ),
    "baseline": Partition(
        knockout_baseline,
        ("source",),
        _uncut,
        ("sample", "error", "kind", "correct"),
        lambda record: 0,
    ),
}
