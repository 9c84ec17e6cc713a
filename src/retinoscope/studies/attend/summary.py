"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import ITEM, Part, Partition
from .._tables import Cell
from .estimates import (
    MEASURES,
    leader_order,
    leaderboard,
    scanned_maps,
    summarise_attend,
    summary_order,
)


def _attending(task: Cell, weights: Cell, method: Cell) -> Part | None:
    return None if method is None else (task, weights, method)


def _leading(task: Cell, weights: Cell) -> Part | None:
    # All methods of a task are compared with its best.
    return task if weights == "trained" else None


SUMMARY = Partition(
    summarise_attend,
    ("task", "weights", "method"),
    _attending,
    (*ITEM, "layer", *MEASURES),
    summary_order,
    scanned_maps,
)
EXTRAS: dict[str, Partition] = {
    "leaderboard": Partition(
        leaderboard,
        ("task", "weights"),
        _leading,
        (*ITEM, "method", "layer", *MEASURES),
        leader_order,
    )
}
