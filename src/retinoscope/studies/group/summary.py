"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import Partition
from . import aggregation
from .estimates import COLUMNS, class_order, class_table, summarise_grouping, summary_order

SUMMARY = Partition(
    summarise_grouping,
    ("kind", "model"),
    lambda kind, model: None if kind is None else (kind, model),
    COLUMNS,
    summary_order,
)
EXTRAS: dict[str, Partition] = {
    "classes": Partition(
        class_table,
        ("kind", "model"),
        lambda kind, model: model if kind == "top-down" else None,
        COLUMNS,
        class_order,
    ),
    "aggregation": Partition(
        aggregation.aggregation_table,
        ("kind", "model"),
        # Objectives and seeds are compared with one another.
        lambda kind, model: kind if aggregation.objective_of(str(model)) else None,
        COLUMNS,
        aggregation.aggregation_order,
    ),
}
