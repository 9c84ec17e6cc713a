"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from ...stats.maps import METRICS as MAP_METRICS
from .._partition import ITEM, Part, Partition
from .._tables import Cell
from .estimates import alignment_order, ranking_order, summarise_alignment, summarise_ranking


def _aligned(provenance: Cell, granularity: Cell, condition: Cell) -> Part | None:
    # A map is compared with its bounds, which have no method.
    return None if condition in (None, "ranking") else (provenance, granularity)


def _ranked(condition: Cell) -> Part | None:
    return "all" if condition == "ranking" else None


SUMMARY = Partition(
    summarise_alignment,
    ("provenance", "granularity", "condition"),
    _aligned,
    (*ITEM, "kind", "weights", "method", "layer", *MAP_METRICS, "reason"),
    alignment_order,
)
EXTRAS: dict[str, Partition] = {
    "ranking": Partition(
        summarise_ranking,
        ("condition",),
        _ranked,
        (
            *("sample", "error", "provenance", "kind", "weights", "method", "layer"),
            *("candidates", "preferred", "rank"),
        ),
        ranking_order,
    )
}
