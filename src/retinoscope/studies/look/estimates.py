"""Which blocks and heads look at the object that is named, against chance and shuffled masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...stats import cluster_share, paired_difference
from .._columns import numeric, split, without_errors
from .._peaks import PEAK, Side, peak_of, scanned, scanned_types
from .._tables import (
    Cell,
    Record,
    banded_columns,
    estimate,
    grouped,
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
BANDS = ("inside", "chance", "shuffled_inside")
"""What is drawn as a curve over blocks."""
_WEIGHTS = rank(("trained", "untrained"))
_PEAKS = {**dict.fromkeys(("weights", "row", "among"), "string"), **PEAK}
_SUMMARY = {
    **dict.fromkeys(("weights", "row"), "string"),
    **dict.fromkeys(("layer", "head"), "int"),
    **{name: kind for measure in MEASURES for name, kind in estimate(measure).items()},
    **tested("difference"),
    **scanned_types(),
    **{name: kind for one in BANDS for name, kind in scanned_types((), one).items()},
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
    return make_table(scanned_heads(found), _SUMMARY)


def scanned_heads(found: Sequence[Record]) -> list[Record]:
    """Corrects the blocks' means over heads, and all single heads, for how many there are."""
    kinds: list[Record] = [{**one, "_mean": one["head"] == -1} for one in found]
    for name in BANDS:
        kinds = scanned(kinds, ("weights", "row", "_mean"), band=name)
    return kinds


def look_peaks(table: pa.Table) -> pa.Table:
    """The block (mean of its heads) and the head that look most at the object, for each weights and
    kind of row: chosen on one half of the images and judged on the other. `value` is "inside",
    `control` "shuffled_inside" on the same words."""
    rows = without_errors(table)
    found: list[Record] = []
    for (weights, kind), places in split(rows, ("weights", "row")):
        if kind is None:
            continue
        mine = rows.take(places)
        heads = numeric(mine, "head")
        for scan, chosen in (("blocks", heads == -1), ("heads", heads != -1)):
            some = mine.take(np.flatnonzero(chosen))
            if some.num_rows:
                candidates = ("layer",) if scan == "blocks" else ("layer", "head")
                control = Side(some, "shuffled_inside")
                best = peak_of(Side(some, "inside"), candidates, control)
                found.append({"weights": weights, "row": kind, "among": scan, **best})
    found.sort(key=peaks_order)
    return make_table(found, _PEAKS)


def peaks_order(record: Record) -> tuple[int, int, str]:
    """Sorts the records of `look_peaks`."""
    weights, row = str(record["weights"]), str(record["row"])
    return _WEIGHTS[weights], ROWS.index(row), str(record["among"])


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
        columns |= banded_columns(name, interval)
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
