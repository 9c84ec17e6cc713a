"""Which blocks and heads look at the object that is named, against chance and shuffled masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..stats import cluster_share, paired_difference
from ._tables import (
    Cell,
    Record,
    estimate,
    grouped,
    interval_columns,
    make_table,
    rank,
    records,
    tested,
    tested_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = ("predicting", "word")
MEASURES = ("to_image", "inside", "peak", "chance", "shuffled_inside", "shuffled_peak")
_WEIGHTS = rank(("trained", "untrained"))
_SUMMARY = {
    **dict.fromkeys(("weights", "row"), "string"),
    **dict.fromkeys(("layer", "head"), "int"),
    **{name: kind for measure in MEASURES for name, kind in estimate(measure).items()},
    **tested("difference"),
    **dict.fromkeys(("n", "n_samples", "n_undefined"), "int"),
    "method": "string",
}


def summarise_look(table: pa.Table) -> pa.Table:
    """One row per weights, kind of row, block and head (-1: the mean of all heads).

    `difference` is "inside" minus "shuffled_inside" on the same words; rows that give the image no
    attention at all have neither and are counted in `n_undefined`.
    """
    groups = grouped(records(table), ("weights", "row", "layer", "head"))
    found = [_one(key, rows) for key, rows in groups.items()]
    found.sort(key=summary_order)
    return make_table(found, _SUMMARY)


def summary_order(record: Record) -> tuple[int, int, int, int]:
    """Sorts the records of `summarise_look`."""
    return (
        _WEIGHTS[str(record["weights"])],
        ROWS.index(str(record["row"])),
        int(record["layer"] or 0),
        int(record["head"] or 0),
    )


def _one(key: tuple[Cell, ...], rows: list[dict[str, Cell]]) -> Record:
    weights, kind, layer, head = key
    values = {name: _mean(rows, name) for name in MEASURES}
    pairs = [
        (float(ours), float(other), str(row["sample"]))
        for row in rows
        if (ours := row.get("inside")) is not None
        and (other := row.get("shuffled_inside")) is not None
    ]
    difference: Record = {}
    if pairs:
        ours, theirs, samples = zip(*pairs, strict=True)
        found = paired_difference(ours, theirs, samples)
        difference = tested_columns("difference", found)
    columns: dict[str, Cell] = {}
    for name, interval in values.items():
        columns |= interval_columns(name, interval)
    return {
        "weights": weights,
        "row": kind,
        "layer": layer,
        "head": head,
        **columns,
        **difference,
        "n": len(rows),
        "n_samples": len({str(row["sample"]) for row in rows}),
        "n_undefined": sum(row.get("inside") is None for row in rows),
        "method": values["inside"].method,
    }


def _mean(rows: list[dict[str, Cell]], name: str):
    found = [
        (float(value), str(row["sample"])) for row in rows if (value := row.get(name)) is not None
    ]
    return cluster_share([value for value, _ in found], groups=[sample for _, sample in found])
