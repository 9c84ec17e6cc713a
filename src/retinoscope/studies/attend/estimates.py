"""How well each method finds the object at each layer, and which method does best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...answers.tasks import TASKS
from ...saliency import METHODS
from ...stats import Interval, cluster_mean, cluster_share, paired_difference
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
from .scores import BASELINES

if TYPE_CHECKING:
    import pyarrow as pa

FOUND = ("pointing", "mass", "ap", "iou_best", "iou_area", "iou_otsu")
"""Scores against the object's mask; higher is better."""
MEASURES = (
    *FOUND,
    *("shuffled_pointing", "shuffled_mass", "shuffled_ap", "area"),
    *("insertion", "deletion", "spearman", "completeness"),
)
RANKED = ("pointing", "mass", "ap", "iou_best")
"""What the leaderboard is made for."""
UNBOUNDED = frozenset({"insertion", "deletion", "spearman", "completeness"})
"""Measures that are no shares: they can leave 0 to 1."""
SHUFFLED = frozenset({"pointing", "mass", "ap"})

_WEIGHTS = rank(("trained", "untrained"))
_METHODS = rank((*METHODS, *BASELINES))
_SUMMARY = {
    **dict.fromkeys(("task", "weights", "method"), "string"),
    "layer": "int",
    **{name: kind for measure in MEASURES for name, kind in estimate(measure).items()},
    **tested("difference"),
    **scanned_types(),
    **dict.fromkeys(("n", "n_samples", "n_undefined", "n_controls"), "int"),
    "method_of_interval": "string",
}
_LEADERS = {
    **dict.fromkeys(("task", "measure", "method", "layers"), "string"),
    **estimate("value"),
    **estimate("control"),
    **tested("above"),
    **tested("behind"),
    "best": "string",
    **dict.fromkeys(("place", "n", "n_samples", "n_undefined"), "int"),
}


def summarise_attend(table: pa.Table) -> pa.Table:
    """One row per task, weights, method and layer (null where the method takes none).

    `difference` is "ap" minus "shuffled_ap" on the same targets. `n_undefined` counts targets whose
    map points nowhere (it is constant), which are in no mean; `n_controls` those with curves.
    """
    groups = grouped(records(table), ("task", "weights", "method", "layer"))
    found = [_one(key, rows) for key, rows in groups.items() if key[2] is not None]
    found.sort(key=summary_order)
    return make_table(scanned_maps(found), _SUMMARY)


def scanned_maps(found: Sequence[Record]) -> list[Record]:
    """Corrects all methods and layers of a task for how many there are."""
    return scanned(found, ("task", "weights"))


def summary_order(record: Record) -> tuple[int, int, int, int]:
    """Sorts the records of `summarise_attend`."""
    return (
        TASKS.index(str(record["task"])),
        _WEIGHTS[str(record["weights"])],
        _METHODS[str(record["method"])],
        -1 if record["layer"] is None else int(record["layer"]),
    )


def _one(key: tuple[Cell, ...], rows: list[dict[str, Cell]]) -> Record:
    values = {name: _mean(rows, name) for name in MEASURES}
    columns: dict[str, Cell] = {}
    for name, interval in values.items():
        columns |= interval_columns(name, interval)
    return {
        **dict(zip(("task", "weights", "method", "layer"), key, strict=True)),
        **columns,
        **_difference("difference", _pairs(rows, "ap", "shuffled_ap")),
        "n": len(rows),
        "n_samples": len({str(row["sample"]) for row in rows}),
        "n_undefined": sum(row.get("pointing") is None for row in rows),
        "n_controls": sum(row.get("insertion") is not None for row in rows),
        "method_of_interval": values["area"].method,
    }


def leaderboard(table: pa.Table) -> pa.Table:
    """One row per task, measure and method, the best method first.

    Of a method that takes a layer each target counts at the layer that was best on the *other*
    half of the images (every second one), so that no layer is chosen on the images that it is
    judged by (with one image there is no other half: its own layer counts); `layers` says which
    they are. `above` is the measure minus its control on the same
    targets: that under another image's mask, or for "iou_best" that of the map "random". `behind`
    is the measure minus the best method's, on targets where both are defined; empty for the best.
    """
    rows = records(table, weights="trained")
    found: list[Record] = []
    for (task,), of_task in grouped(rows, ("task",)).items():
        if task is not None:
            for measure in RANKED:
                found += _leaders(str(task), measure, of_task)
    return make_table(found, _LEADERS)


def leader_order(record: Record) -> tuple[int, int, int]:
    """Sorts the records of `leaderboard`."""
    return (
        TASKS.index(str(record["task"])),
        RANKED.index(str(record["measure"])),
        int(record["place"] or 0),
    )


def _leaders(task: str, measure: str, rows: list[dict[str, Cell]]) -> list[Record]:
    half = {s: i % 2 for i, s in enumerate(sorted({str(row["sample"]) for row in rows}))}
    chosen: dict[str, dict[tuple[str, int], dict[str, Cell]]] = {}
    layers: dict[str, str] = {}
    for (method,), of_method in grouped(rows, ("method",)).items():
        best = {side: _best_layer(of_method, measure, half, side) for side in (0, 1)}
        kept = [row for row in of_method if row["layer"] == best[1 - half[str(row["sample"])]]]
        chosen[str(method)] = {(str(row["sample"]), int(row["item"] or 0)): row for row in kept}
        used = {int(layer) for row in kept if (layer := row["layer"]) is not None}
        layers[str(method)] = ", ".join(map(str, sorted(used)))
    random = chosen.get("random", {})
    means = {name: _mean(list(found.values()), measure) for name, found in chosen.items()}
    real = [name for name in chosen if name not in BASELINES and means[name].n]
    if not real:
        return []
    order = sorted((name for name in chosen if means[name].n), key=lambda name: -means[name].value)
    best_method = max(real, key=lambda name: means[name].value)
    found: list[Record] = []
    for place, name in enumerate(order):
        own = chosen[name]
        if measure in SHUFFLED:
            control = _mean(list(own.values()), f"shuffled_{measure}")
            above = _pairs(list(own.values()), measure, f"shuffled_{measure}")
        else:
            control = _mean(list(random.values()), measure)
            above = _between(own, random, measure)
        behind = _between(own, chosen[best_method], measure)
        found.append(
            {
                "task": task,
                "measure": measure,
                "method": name,
                "layers": layers[name],
                **interval_columns("value", means[name]),
                **interval_columns("control", control),
                **_difference("above", above),
                **_difference("behind", [] if name == best_method else behind),
                "best": best_method,
                "place": place,
                "n": means[name].n,
                "n_samples": means[name].n_groups,
                "n_undefined": len(own) - means[name].n,
            }
        )
    return found


def _best_layer(
    rows: Sequence[Mapping[str, Cell]], measure: str, half: Mapping[str, int], side: int
) -> Cell:
    """The layer of the largest mean on one half of the images; on all where a half has none."""
    some = [row for row in rows if half[str(row["sample"])] == side]
    if not any(row.get(measure) is not None for row in some):
        some = list(rows)
    means: dict[Cell, float] = {}
    for (layer,), group in grouped([dict(row) for row in some], ("layer",)).items():
        values = [float(value) for row in group if (value := row.get(measure)) is not None]
        # A map that is mostly undefined must not win by the few where it is not.
        means[layer] = sum(values) / len(group) if values else -math.inf
    return max(means, key=lambda layer: means[layer])


Pairs = list[tuple[float, float, str]]


def _pairs(rows: Sequence[Mapping[str, Cell]], ours: str, theirs: str) -> Pairs:
    return [
        (float(a), float(b), str(row["sample"]))
        for row in rows
        if (a := row.get(ours)) is not None and (b := row.get(theirs)) is not None
    ]


def _between(
    ours: Mapping[tuple[str, int], Mapping[str, Cell]],
    theirs: Mapping[tuple[str, int], Mapping[str, Cell]],
    measure: str,
) -> Pairs:
    """The same targets of two methods."""
    return [
        (float(a), float(b), key[0])
        for key, row in ours.items()
        if key in theirs
        and (a := row.get(measure)) is not None
        and (b := theirs[key].get(measure)) is not None
    ]


def _difference(name: str, pairs: Pairs) -> Record:
    if not pairs:
        return {}
    ours, theirs, samples = zip(*pairs, strict=True)
    found = paired_difference(ours, theirs, samples)
    return tested_columns(name, found)


def _mean(rows: Sequence[Mapping[str, Cell]], name: str) -> Interval:
    found = [
        (float(value), str(row["sample"])) for row in rows if (value := row.get(name)) is not None
    ]
    values, samples = [value for value, _ in found], [sample for _, sample in found]
    if name in UNBOUNDED:
        return cluster_mean(values, samples)
    return cluster_share(values, groups=samples)
