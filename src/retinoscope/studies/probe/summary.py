"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import Partition
from . import compare, draws
from .estimates import summarise_probe, summary_order

SUMMARY = Partition(
    summarise_probe,
    ("task",),
    lambda task: task,
    draws.COLUMNS,
    summary_order,
)
EXTRAS: dict[str, Partition] = {
    "comparison": Partition(
        compare.compare_probes,
        ("task",),
        lambda task: task,
        draws.COLUMNS,
        compare.comparison_order,
    ),
    "groups": Partition(
        compare.average_probes,
        ("task",),
        lambda task: task,
        draws.COLUMNS,
        summary_order,
    ),
}
