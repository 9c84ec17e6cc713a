"""Words of the descriptions, by whether it is the control."""

from __future__ import annotations

import pyarrow as pa

from retinoscope.studies._partition import ITEM, Partition


def lengths(table: pa.Table) -> pa.Table:
    found = table.group_by("is_control").aggregate([("n_words", "mean"), ("n_words", "count")])
    return found.rename_columns(["is_control", "n_words", "n"])


SUMMARY = Partition(
    lengths,
    ("is_control",),
    lambda is_control: "all",
    (*ITEM, "n_words"),
    lambda record: record["is_control"],
)
EXTRAS: dict[str, Partition] = {}
