"""How far maps agree with where people looked, beside what bounds that from above and below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...stats import cluster_mean, cluster_share, paired_difference
from ...stats.maps import METRICS
from .._tables import (
    Cell,
    Record,
    estimate,
    grouped,
    interval_columns,
    make_table,
    rank,
    records,
    scanned,
    scanned_types,
    tested,
    tested_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

BOUNDS = ("people", "mask", "centre", "other-image")
"""Conditions without a method."""
COMPARED = {"gain": "other-text", "over_centre": "centre", "under_people": "people"}
"""Differences of the method's own map and a condition, over the same segments."""
_WEIGHTS = rank(("trained", "untrained"))
_GRANULARITIES = rank(("word", "phrase", "sentence", "text"))
_MAP = ("kind", "weights", "method", "layer")
_KEYS = ("provenance", "granularity", *_MAP)


def column_of(condition: str) -> str:
    """A condition as the beginning of a column's name."""
    return condition.replace("-", "_")


_CONDITIONS = ("own", "other-text", *BOUNDS)
_SUMMARY = {
    **dict.fromkeys(("provenance", "granularity", "kind", "weights", "method"), "string"),
    "layer": "int",
    "metric": "string",
    **{name: kind for one in _CONDITIONS for name, kind in estimate(column_of(one)).items()},
    **{name: kind for one in COMPARED for name, kind in tested(one).items()},
    **scanned_types(tuple(COMPARED)),
    **dict.fromkeys(("n", "n_samples", "n_undefined", "n_people"), "int"),
    "interval": "string",
}
_RANKING = {
    **dict.fromkeys(("provenance", "kind", "weights", "method"), "string"),
    "layer": "int",
    **estimate("preferred"),
    **estimate("rank"),
    "chance": "float",
    **tested("over_chance"),
    **dict.fromkeys(("n", "n_undefined"), "int"),
    "interval": "string",
}

Row = dict[str, Cell]


def summarise_alignment(table: pa.Table) -> pa.Table:
    """One row per provenance, granularity, kind of model, weights, method, layer and metric.

    `own` and the conditions beside it are means over segments; `gain` is own minus other-text,
    `over_centre` own minus centre, `under_people` own minus people, each over the segments that
    have both. `n_undefined` counts segments for which the metric is not defined.
    """
    rows = [row for row in records(table) if row.get("condition") not in (None, "ranking")]
    found = []
    for (provenance, granularity), part in grouped(rows, ("provenance", "granularity")).items():
        bounds = {name: _by_segment(part, name) for name in BOUNDS}
        shown = [row for row in part if row.get("method") is not None]
        for key, own in grouped(shown, _MAP).items():
            conditions = bounds | {name: _by_segment(own, name) for name in ("own", "other-text")}
            base: Row = dict(zip(_KEYS, (provenance, granularity, *key), strict=True))
            for metric in METRICS:
                record = _one(metric, conditions)
                if record is not None:
                    found.append(base | record)
    found.sort(key=alignment_order)
    return make_table(scanned_maps(found), _SUMMARY)


def scanned_maps(found: Sequence[Record]) -> list[Record]:
    """Corrects all maps of a metric for how many there are."""
    curve = ("provenance", "granularity", "metric", "weights")
    return scanned(found, curve, tuple(COMPARED))


def alignment_order(record: Record) -> tuple[object, ...]:
    """Sorts the records of `summarise_alignment`."""
    return (
        str(record["provenance"]),
        _GRANULARITIES[str(record["granularity"])],
        list(METRICS).index(str(record["metric"])),
        _WEIGHTS[str(record["weights"])],
        str(record["method"]),
        -1 if record["layer"] is None else int(record["layer"]),
    )


def summarise_ranking(table: pa.Table) -> pa.Table:
    """One row per provenance, kind of model, weights, method and layer: how often the image's
    description has the map that is most like where people looked, among `candidates`; `chance` is
    the mean of one over their number."""
    rows = [row for row in records(table) if row.get("condition") == "ranking"]
    found = []
    for key, part in grouped(rows, ("provenance", *_MAP)).items():
        good = [row for row in part if row.get("preferred") is not None]
        samples = [str(row["sample"]) for row in good]
        preferred = [float(row["preferred"] or 0) for row in good]
        chances = [1 / float(row["candidates"] or 1) for row in good]
        above = paired_difference(preferred, chances, samples)
        best = cluster_share(preferred, groups=samples)
        ranks = cluster_mean([float(row["rank"] or 0) for row in good], samples)
        found.append(
            dict(zip(("provenance", *_MAP), key, strict=True))
            | interval_columns("preferred", best)
            | interval_columns("rank", ranks)
            | tested_columns("over_chance", above)
            | {
                "chance": sum(chances) / len(chances) if chances else None,
                "n": len(good),
                "n_undefined": len(part) - len(good),
                "interval": best.method,
            }
        )
    found.sort(key=ranking_order)
    return make_table(found, _RANKING)


def ranking_order(record: Record) -> tuple[object, ...]:
    """Sorts the records of `summarise_ranking`."""
    return (
        str(record["provenance"]),
        _WEIGHTS[str(record["weights"])],
        str(record["method"]),
        -1 if record["layer"] is None else int(record["layer"]),
    )


Segments = Mapping[tuple[Cell, ...], Row]


def _by_segment(rows: Sequence[Row], condition: str) -> Segments:
    return {(row["sample"], row["item"]): row for row in rows if row.get("condition") == condition}


def _undefined(row: Row) -> set[str]:
    """The metrics that a row's `reason` is about: "ncc, sim: why; nss: why"."""
    parts = str(row.get("reason") or "").split("; ")
    return {name for part in parts for name in part.partition(": ")[0].split(", ")}


def _one(metric: str, conditions: Mapping[str, Segments]) -> Row | None:
    own = conditions["own"]
    defined = {key: value for key, row in own.items() if (value := row.get(metric)) is not None}
    if not defined and not any(metric in _undefined(row) for row in own.values()):
        # The metric was not asked for.
        return None
    columns: dict[str, Cell] = {"metric": metric}
    for name, segments in conditions.items():
        values = [
            (float(value), str(key[0]))
            for key, row in segments.items()
            # Bounds over the same segments as the map's own score.
            if key in defined and (value := row.get(metric)) is not None
        ]
        interval = None
        if values:
            interval = cluster_mean([one for one, _ in values], [one for _, one in values])
        columns |= interval_columns(column_of(name), interval)
        if name == "own":
            columns["interval"] = None if interval is None else interval.method
        if name == "people":
            columns["n_people"] = len(values)
    for name, condition in COMPARED.items():
        pairs = [
            (float(value), float(other), str(key[0]))
            for key, value in defined.items()
            if (other := conditions[condition].get(key, {}).get(metric)) is not None
        ]
        if pairs:
            ours, theirs, samples = zip(*pairs, strict=True)
            difference = paired_difference(ours, theirs, samples)
            columns |= tested_columns(name, difference)
    return columns | {
        "n": len(defined),
        "n_samples": len({str(key[0]) for key in defined}),
        "n_undefined": len(own) - len(defined),
    }
