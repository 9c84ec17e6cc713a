"""Table 2 of Neo et al. 2024 from the rows of an attention knockout, with intervals and control."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ...stats import cluster_mean, paired_difference, proportion
from .._columns import coded, numeric, split, without_errors
from .._paper import paper_number
from .._peaks import PEAK, Side, peak_of, scanned, scanned_types
from .._tables import (
    Cell,
    Record,
    banded_columns,
    estimate,
    grouped,
    interval_columns,
    make_table,
    rank,
    records,
    tested,
    tested_columns,
)
from .._windows import PAPER_WINDOWS
from .options import SOURCES, TARGETS

if TYPE_CHECKING:
    import pyarrow as pa

_SUMMARY = {
    **dict.fromkeys(("source", "target", "window"), "string"),
    **dict.fromkeys(("first_layer", "last_layer"), "int"),
    **estimate("accuracy"),
    **dict.fromkeys(
        ("probability_change", "probability_change_low", "probability_change_high"), "float"
    ),
    **dict.fromkeys(("n", "n_samples"), "int"),
    **dict.fromkeys(("n_source", "n_edges"), "float"),
    "control": "string",
    **tested("difference"),
    **scanned_types(band="accuracy"),
    "difference_n": "int",
    "method": "string",
    "paper": "float",
    "paper_source": "string",
}
_PEAKS = {**dict.fromkeys(("source", "target", "windows"), "string"), **PEAK}
_BASELINE = {
    "kind": "string",
    **estimate("accuracy"),
    **dict.fromkeys(("n", "n_samples"), "int"),
    "method": "string",
}
_SOURCES, _TARGETS, _WINDOWS = rank(SOURCES), rank(TARGETS), rank(tuple(PAPER_WINDOWS))
CONTROLLED, CONTROL = "object+1", "random=object+1"
Groups = dict[tuple[Cell, ...], "pa.Table"]
_KEYS, _ITEM, _CONTROL = ("source", "target", "window"), ["sample", "item"], "_control"


def summarise_knockout(table: pa.Table) -> pa.Table:
    """One row per source, target and window.

    `accuracy` is the relative accuracy: the share of the initially correct questions that stay
    correct, 1.00 meaning no impact, with a 95% interval. `probability_change` is the mean change of
    the probability of the *expected* answer's first piece. For the source object+1, `difference` is
    its accuracy minus that of as many random tokens outside it (`control`), on the same questions:
    negative where the object matters more.
    """
    rows = without_errors(table, baseline_correct=True)
    groups = {key: rows.take(places) for key, places in split(rows, _KEYS) if key[0] != "none"}
    found = [_condition(key, items, groups) for key, items in groups.items()]
    found.sort(key=summary_order)
    return make_table(scanned_windows(found), _SUMMARY)


def scanned_windows(found: Sequence[Record]) -> list[Record]:
    """Corrects the windows of each source and target for how many there are; those that slide are
    looked over together, and so are those that do not."""
    kinds = [{**one, "_slides": str(one["window"]).startswith("slide-")} for one in found]
    return scanned(kinds, ("source", "target", "_slides"), band="accuracy")


def summary_order(record: Record) -> tuple[int, int, int, int]:
    """Sorts the records of `summarise_knockout`."""
    return (
        _SOURCES[str(record["source"])],
        _TARGETS[str(record["target"])],
        _WINDOWS.get(str(record["window"]), len(_WINDOWS)),
        int(record["first_layer"] or 0),
    )


def knockout_peaks(table: pa.Table) -> pa.Table:
    """The window that matters most, for each source and target: chosen on one half of the images
    and judged on the other. `value` is the relative accuracy, `control` that of as many random
    tokens in the same windows. Of windows that do not slide that of all layers is no candidate."""
    if "baseline_correct" not in table.column_names:
        return make_table([], _PEAKS)
    # Rows with an error have no source and no answer.
    kept = numeric(table, "baseline_correct", 0.0) == 1
    (sources, targets, windows), names = zip(*(_codes(table, name) for name in _KEYS), strict=True)
    kinds = [_kind_of(name) for name in names[2]]
    found: list[Record] = []
    for (s, source), (t, target) in product(enumerate(names[0]), enumerate(names[1])):
        for kind in sorted({kind for kind in kinds if kind}):
            mine = (
                kept
                & (targets == t)
                & np.isin(windows, [i for i, k in enumerate(kinds) if k == kind])
            )
            rows = np.flatnonzero(mine & (sources == s)).astype(np.int32)
            if not len(rows) or source.startswith("random="):
                continue
            control = None
            if f"random={source}" in names[0]:
                beside = np.flatnonzero(mine & (sources == names[0].index(f"random={source}")))
                beside = beside.astype(np.int32)
                control = Side(table, "correct", rows=beside)
            ours = Side(table, "correct", rows=rows)
            best = peak_of(ours, ("window",), control, smallest=True)
            found.append({"source": source, "target": target, "windows": kind, **best})
    found.sort(key=peaks_order)
    return make_table(found, _PEAKS)


def peaks_order(record: Record) -> tuple[int, int, str]:
    """Sorts the records of `knockout_peaks`."""
    source, target = str(record["source"]), str(record["target"])
    return _SOURCES[source], _TARGETS[target], str(record["windows"])


def _codes(table: pa.Table, name: str) -> tuple[np.ndarray, list[str]]:
    code, words = coded(table, name)
    return code.astype(np.int16), words


def _kind_of(window: str) -> str:
    """Windows that are looked over together: the named ones, or those that slide, by width."""
    if window == "all":
        return ""
    width = window.rsplit("-", 1)[-1]
    return f"sliding, {width} layers" if window.startswith("slide-") else "named"


def knockout_baseline(table: pa.Table) -> pa.Table:
    """Accuracy of the clean answers, per kind of question and over all of them."""
    rows = records(table, source="none")
    parts: dict[str, list[dict[str, Cell]]] = {"all": rows} if rows else {}
    parts |= {str(kind): items for (kind,), items in sorted(grouped(rows, ("kind",)).items())}
    found: list[Record] = []
    for kind, items in parts.items():
        accuracy = proportion(
            [bool(r["correct"]) for r in items], [str(r["sample"]) for r in items]
        )
        found.append(
            {
                "kind": kind,
                **interval_columns("accuracy", accuracy),
                "n": accuracy.n,
                "n_samples": accuracy.n_groups,
                "method": accuracy.method,
            }
        )
    return make_table(found, _BASELINE)


def _condition(key: tuple[Cell, ...], rows: pa.Table, groups: Groups) -> Record:
    source, target, window = (str(part) for part in key)
    images, _ = coded(rows, "sample")
    accuracy = proportion(numeric(rows, "correct"), images)
    change = numeric(rows, "probability_after") - numeric(rows, "probability_before")
    control = groups.get((CONTROL, target, window))
    known = paper_number("knockout", source, target, window)
    return {
        "source": source,
        "target": target,
        "window": window,
        "first_layer": rows["first_layer"][0].as_py(),
        "last_layer": rows["last_layer"][0].as_py(),
        **banded_columns("accuracy", accuracy),
        **interval_columns("probability_change", cluster_mean(change, images)),
        "n": accuracy.n,
        "n_samples": accuracy.n_groups,
        "n_source": float(numeric(rows, "n_source", 0).mean()),
        "n_edges": float(numeric(rows, "n_edges", 0).mean()),
        **(_against_control(rows, control) if source == CONTROLLED and control else {}),
        "method": accuracy.method,
        "paper": None if known is None else known.value,
        "paper_source": None if known is None else known.source,
    }


def _against_control(rows: pa.Table, control: pa.Table) -> Record:
    pairs = rows.select([*_ITEM, "correct"]).join(
        control.select([*_ITEM, "correct"]), _ITEM, join_type="inner", right_suffix=_CONTROL
    )
    if not pairs.num_rows:
        return {}
    difference = paired_difference(
        numeric(pairs, "correct"), numeric(pairs, f"correct{_CONTROL}"), coded(pairs, "sample")[0]
    )
    return {
        "control": CONTROL,
        **tested_columns("difference", difference),
        "difference_n": difference.n,
    }
