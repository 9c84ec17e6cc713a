"""Mean IoU, overlap with instances and accuracy of each condition, against nulls and bounds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...grouping import NULLS
from ...stats import (
    Interval,
    cell_bound,
    class_iou,
    cluster_share,
    mean_iou,
    mean_iou_difference,
    paired_difference,
    proportion,
)
from .._tables import (
    Cell,
    Record,
    estimate,
    grouped,
    interval_columns,
    make_table,
    number,
    rank,
    records,
    tested,
    tested_columns,
)
from .bottom_up import BOTTOM_UP
from .subjects import TRAINED, UNTRAINED
from .top_down import BOUND, CLASSIFICATION, PRESENT, TOP_DOWN, WITHOUT

if TYPE_CHECKING:
    import pyarrow as pa

Rows = list[dict[str, Cell]]
COLUMNS = (
    *("sample", "error", "item", "weights", "method", "layer", "background", "candidates"),
    *("counts", "cells", "left_out", "correct", "chance", "best", "matched", "n"),
    *("n_undefined", "n_groups", "seen"),
)
SHUFFLED = ", shuffled"

_KINDS = rank((TOP_DOWN, BOTTOM_UP, CLASSIFICATION))
_WEIGHTS = rank((TRAINED, UNTRAINED))
_CONDITION = ("weights", "method", "layer", "background", "candidates")
_SUMMARY = {
    **dict.fromkeys(("kind", "model", *_CONDITION, "measure", "control"), "string"),
    **estimate("value"),
    **estimate("control_value"),
    **tested("difference"),
    **estimate("matched"),
    **dict.fromkeys(("bound", "constant", "seen", "n_groups"), "float"),
    **dict.fromkeys(("n", "n_samples", "n_classes", "n_undefined"), "int"),
    **dict.fromkeys(("left_out", "method_of_interval"), "string"),
}
_CLASSES = {
    **dict.fromkeys(("model", *_CONDITION, "class"), "string"),
    "iou": "float",
    **dict.fromkeys(("right", "predicted", "there"), "int"),
}


def summarise_grouping(table: pa.Table) -> pa.Table:
    """One row per model and condition of one kind.

    `value` is the mean IoU ("top-down"), the mean overlap of instances by best match ("bottom-up";
    "matched" is that of one-to-one matching), or accuracy ("classification"). `control` is what
    `difference` is taken from, on the same images: swapped prompts; the strongest of the nulls
    (random groups, Voronoi blobs, superpixels); chance. `bound` is what a label (a union) of whole
    locations can reach at best, `constant` the best that one label for all pixels reaches, both by
    the truth.
    """
    found: list[Record] = []
    for (kind, model), rows in grouped(records(table), ("kind", "model")).items():
        make = {TOP_DOWN: _top_down, BOTTOM_UP: _bottom_up, CLASSIFICATION: _classified}
        told: dict[str, Cell] = {"kind": kind, "model": model}
        found += [{**told, **record} for record in make[str(kind)](rows)]
    return make_table(sorted(found, key=summary_order), _SUMMARY)


def summary_order(record: Record) -> tuple:
    """Sorts the records of `summarise_grouping` and of `class_table`."""
    layer = str(record["layer"] or "")
    name, _, depth = layer.partition(".")
    return (
        _KINDS.get(str(record.get("kind")), 9),
        str(record["model"]),
        _WEIGHTS.get(str(record["weights"]), 9),
        str(record.get("candidates") or ""),
        str(record.get("background") or ""),
        str(record["method"]),
        {"vision": 0, "projector": 1, "decoder": 2}.get(name, 3),
        int(depth) if depth.isdecimal() else 0,
    )


def class_order(record: Record) -> tuple:
    """Sorts the records of `class_table`."""
    return (*summary_order(record), str(record["class"]))


def class_table(table: pa.Table) -> pa.Table:
    """IoU of each class, one row per model, condition and class; "" is the background."""
    found: list[Record] = []
    for (model,), rows in grouped(records(table), ("model",)).items():
        rows = [row for row in rows if row.get("counts") is not None]
        for condition, mine in grouped(rows, _CONDITION).items():
            names, counts = counts_by_class(mine)
            total = counts.sum(0)
            for name, numbers, iou in zip(names, total, class_iou(total), strict=True):
                told = dict(zip(_CONDITION, condition, strict=True))
                right, predicted, there = (int(value) for value in numbers)
                found.append(
                    {"model": model, **told, "class": name, "iou": number(float(iou))}
                    | {"right": right, "predicted": predicted, "there": there}
                )
    return make_table(sorted(found, key=class_order), _CLASSES)


def counts_by_class(
    rows: Rows, names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes, and (images, classes, 3) pixels as of `stats.class_counts`."""
    told = [json.loads(str(row["counts"])) for row in rows]
    if names is None:
        names = tuple(sorted({name for one in told for name in one}))
    place = {name: k for k, name in enumerate(names)}
    counts = np.zeros((len(rows), len(names), 3), np.int64)
    for image, one in zip(counts, told, strict=True):
        for name, numbers in one.items():
            image[place[name]] = numbers
    return tuple(names), counts


def _cells(rows: Iterable[Mapping[str, Cell]]) -> dict[str, tuple[list[str], np.ndarray]]:
    """Sample -> names, and (locations, classes) pixels."""
    found = {}
    for row in rows:
        told = json.loads(str(row["cells"]))
        names = sorted({name for one in told for name in one})
        cells = np.array([[one.get(name, 0) for name in names] for one in told], np.int64)
        found[str(row["sample"])] = (names, cells.reshape(len(told), len(names)))
    return found


def _together(
    cells: Mapping[str, tuple[list[str], np.ndarray]], samples: Iterable[str], background: bool
) -> np.ndarray:
    """(locations, classes) of several images; without the background's pixels unless asked."""
    chosen = [cells[sample] for sample in samples if sample in cells]
    names = sorted({name for one, _ in chosen for name in one if name or background})
    place = {name: k for k, name in enumerate(names)}
    parts = []
    for own, pixels in chosen:
        part = np.zeros((len(pixels), len(names)), np.int64)
        for column, name in enumerate(own):
            if name in place:
                part[:, place[name]] = pixels[:, column]
        parts.append(part)
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.int64)


def _top_down(rows: Rows) -> list[Record]:
    cells = _cells(row for row in rows if row["method"] == BOUND)
    conditions = grouped([row for row in rows if row["counts"] is not None], _CONDITION)
    limits: dict[tuple[tuple[str, ...], bool], tuple[float, float]] = {}
    found: list[Record] = []
    for condition, mine in conditions.items():
        told = dict(zip(_CONDITION, condition, strict=True))
        method, background = str(told["method"]), told["background"] != WITHOUT
        if method.endswith(SHUFFLED):
            continue
        counts = counts_by_class(mine)[1]
        samples = tuple(str(row["sample"]) for row in mine)
        interval = mean_iou(counts, samples)
        if (samples, background) not in limits:
            limits[samples, background] = _limits(_together(cells, samples, background))
        bound, constant = limits[samples, background]
        record: dict[str, Cell] = {
            **told,
            "measure": "mean IoU",
            **interval_columns("value", interval),
            "bound": number(bound),
            "constant": None if told["candidates"] == PRESENT else number(constant),
            "seen": _mean(mine, "seen"),
            "n": len(mine),
            "n_samples": len(set(samples)),
            "n_classes": int((counts.sum((0, 2)) > 0).sum()),
            "left_out": next((str(row["left_out"]) for row in mine if row["left_out"]), None),
            "method_of_interval": interval.method,
        }
        other = conditions.get(
            tuple((told | {"method": method + SHUFFLED}).values()),
        )
        if other is not None:
            record |= _against(mine, other, "shuffled")
        found.append(record)
    return found


def _limits(cells: np.ndarray) -> tuple[float, float]:
    """The bound of labels that are constant on locations, and the best label for everything."""
    if not cells.size:
        return float("nan"), float("nan")
    there = cells.sum(0)
    constant = float((there / there.sum()).max() / (there > 0).sum())
    return float(np.nanmean(cell_bound(cells))), constant


def _against(mine: Rows, other: Rows, control: str) -> dict[str, Cell]:
    """Columns of a control on the same images."""
    theirs = {str(row["sample"]): row for row in other}
    pairs = [(row, theirs[str(row["sample"])]) for row in mine if str(row["sample"]) in theirs]
    ours = [row for row, _ in pairs]
    names = tuple(
        sorted({name for pair in pairs for row in pair for name in json.loads(str(row["counts"]))})
    )
    a, b = counts_by_class(ours, names)[1], counts_by_class([row for _, row in pairs], names)[1]
    samples = [str(row["sample"]) for row in ours]
    found = mean_iou_difference(a, b, samples)
    return {
        "control": control,
        **interval_columns("control_value", mean_iou(b, samples)),
        **tested_columns("difference", found),
    }


def _bottom_up(rows: Rows) -> list[Record]:
    conditions = grouped(rows, ("weights", "method", "layer"))
    bound = {str(row["sample"]): row for row in rows if row["method"] == BOUND}
    name, null = _strongest_null(conditions)
    found: list[Record] = []
    for (weights, method, layer), mine in conditions.items():
        if method == BOUND:
            continue
        samples = [str(row["sample"]) for row in mine]
        best, matched = (_overlap(mine, name) for name in ("best", "matched"))
        record: dict[str, Cell] = {
            "weights": weights,
            "method": method,
            "layer": layer,
            "measure": "Jaccard index of instances",
            **interval_columns("value", best),
            **interval_columns("matched", matched),
            "bound": number(_overlap([bound[s] for s in samples if s in bound], "best").value),
            "seen": _mean(mine, "seen"),
            "n_groups": _mean(mine, "n_groups"),
            "n": sum(int(row["n"] or 0) for row in mine),
            "n_samples": len(set(samples)),
            "n_undefined": sum(int(row["n_undefined"] or 0) for row in mine),
            "method_of_interval": best.method,
        }
        if method not in NULLS:
            record |= _above_null(mine, name, null)
        found.append(record)
    return found


def _overlap(rows: Sequence[Mapping[str, Cell]], name: str) -> Interval:
    """Mean over instances, images resampled."""
    return cluster_share(
        [float(row[name] or 0) for row in rows],
        [float(row["n"] or 0) for row in rows],
        [str(row["sample"]) for row in rows],
    )


def _strongest_null(
    conditions: Mapping[tuple[Cell, ...], Rows],
) -> tuple[str, dict[str, Mapping[str, Cell]]]:
    """The null that overlaps most with the instances, and its rows by sample."""
    nulls = {str(method): mine for (_, method, _), mine in conditions.items() if method in NULLS}
    best = max(nulls, key=lambda name: _overlap(nulls[name], "best").value)
    return best, {str(row["sample"]): row for row in nulls[best]}


def _above_null(mine: Rows, name: str, null: Mapping[str, Mapping[str, Cell]]) -> dict[str, Cell]:
    pairs = [
        (row, theirs)
        for row in mine
        if (theirs := null.get(str(row["sample"]))) is not None and row["n"]
    ]
    if not pairs:
        return {}
    # The same instances in both: a weight per image makes it the mean over instances.
    ours, others = ([float(row["best"] or 0) for row in side] for side in zip(*pairs, strict=True))
    n = [float(row["n"] or 0) for row, _ in pairs]
    samples = [str(row["sample"]) for row, _ in pairs]
    tested = paired_difference(ours, others, samples, sizes=n)
    return {
        "control": name,
        **interval_columns("control_value", cluster_share(others, n, samples)),
        **tested_columns("difference", tested),
    }


def _classified(rows: Rows) -> list[Record]:
    found: list[Record] = []
    for (weights, method, layer), mine in grouped(rows, ("weights", "method", "layer")).items():
        samples = [str(row["sample"]) for row in mine]
        right = [bool(row["correct"]) for row in mine]
        chance = [float(row["chance"] or 0) for row in mine]
        interval = proportion(right, samples)
        change = paired_difference([float(one) for one in right], chance, samples)
        found.append(
            {
                "weights": weights,
                "method": method,
                "layer": layer,
                "measure": "accuracy",
                **interval_columns("value", interval),
                "control": "chance",
                "control_value": number(float(np.mean(chance))),
                **tested_columns("difference", change),
                "n": len(mine),
                "n_samples": len(set(samples)),
                "method_of_interval": interval.method,
            }
        )
    return found


def _mean(rows: Rows, name: str) -> float | None:
    values = [float(value) for row in rows if (value := row.get(name)) is not None]
    values = [value for value in values if value == value]
    return float(np.mean(values)) if values else None
