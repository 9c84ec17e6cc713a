"""Which rows each summary of the study looks at together."""

from __future__ import annotations

from .._partition import Partition
from .estimates import COLUMNS, spurious_order, summarise_spurious

SUMMARY = Partition(
    summarise_spurious,
    ("model",),
    lambda model: None if model is None else "all",
    COLUMNS,
    spurious_order,
)
EXTRAS: dict[str, Partition] = {}
