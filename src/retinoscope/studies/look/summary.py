"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import ITEM, Part, Partition
from .._tables import Cell
from .estimates import (
    MEASURES,
    look_peaks,
    peaks_order,
    scanned_heads,
    summarise_look,
    summary_order,
)


def _looking(weights: Cell, row: Cell, layer: Cell, head: Cell) -> Part | None:
    return None if row is None else (weights, row, layer, head)


SUMMARY = Partition(
    summarise_look,
    ("weights", "row", "layer", "head"),
    _looking,
    (*ITEM, *MEASURES),
    summary_order,
    scanned_heads,
)
EXTRAS: dict[str, Partition] = {
    "peaks": Partition(
        look_peaks,
        ("weights", "row"),
        lambda weights, row: None if row is None else (weights, row),
        ("sample", "error", "layer", "head", "inside", "shuffled_inside"),
        peaks_order,
        plain=False,
    )
}
