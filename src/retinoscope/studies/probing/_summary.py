"""Estimates of every layer with intervals and controls, and paired differences of encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ...stats import Interval
from .._tables import Cell, Record, estimate, interval_columns, make_table, number
from ._rows import COUNTS, SCORES
from ._scores import OF_SUMS, Draws, average_precision, interval_of, weights_of
from ._tasks import TASKS

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    *("sample", "error", "encoder", "kind", "of", "layer", "depth", "labels", "seed", "content"),
    *("classes", "right", "said", "there", "scores", "top", "bottom", "head", "n_parameters"),
    *("n_train", "strength", "val", "n_classes"),
    *(f"bound_{name}" for name in ("miou", "iou", "pq", "best_iou")),
)
"""What the summaries read besides the task."""

_SUMMARY = {
    **dict.fromkeys(("task", "axis", "measure", "encoder", "kind", "of", "layer"), "string"),
    "depth": "int",
    **estimate("value"),
    "seed_sd": "float",
    **dict.fromkeys(("constant", "bound", "chance"), "float"),
    **estimate("control"),
    **estimate("selectivity"),
    **estimate("shuffled"),
    "val": "float",
    "head": "string",
    **dict.fromkeys(("n_parameters", "n_train", "n_classes", "n", "n_images", "n_seeds"), "int"),
    "method": "string",
}
_COMPARISON = {
    **dict.fromkeys(("task", "axis", "measure"), "string"),
    **dict.fromkeys(("a", "a_layer", "b", "b_layer"), "string"),
    **dict.fromkeys(("a_value", "b_value"), "float"),
    **estimate("difference"),
    **dict.fromkeys(("n_images", "n_seeds"), "int"),
    "verdict": "string",
}
CONSTANT = "constant"


@dataclass(frozen=True, eq=False)
class _Probed:
    """One layer under one kind of labels: the draws of each measure, one a probe seed."""

    facts: Mapping[str, Cell]
    draws: Mapping[str, Mapping[int, Draws]]
    n: int
    n_images: int

    def mean(self, measure: str, seeds: Sequence[int] | None = None) -> Draws | None:
        found = self.draws.get(measure, {})
        chosen = [found[seed] for seed in (sorted(found) if seeds is None else seeds)]
        return np.mean(chosen, 0) if chosen else None

    def interval(self, measure: str) -> Interval | None:
        draws = self.mean(measure)
        return None if draws is None else interval_of(draws, self.n, self.n_images)


def summarise_probe(table: pa.Table) -> pa.Table:
    """One row per task, measure, encoder and layer.

    `value` is the mean over probe seeds, its interval from images resampled together for all seeds;
    `seed_sd` the standard deviation over seeds. `selectivity` is the value minus that with control
    labels, of the first seed, paired over images. `bound` is the best that one answer per location
    can reach; `constant` the constant answer.
    """
    records: list[Record] = []
    for task, probed in _tasks(table):
        constant = probed.get((CONSTANT, "", "true"))
        for (encoder, layer, labels), own in probed.items():
            if labels == "true" and encoder != CONSTANT:
                others = {name: probed.get((encoder, layer, name)) for name in _OTHERS}
                records += [
                    _record(task, measure, own, constant, others)
                    for measure in TASKS[task].measures
                    if measure in own.draws
                ]
    records.sort(key=summary_order)
    return make_table(records, _SUMMARY)


def compare_probes(table: pa.Table) -> pa.Table:
    """One row per task, measure and pair: two encoders, or an encoder and a baseline of its own.

    Each stands at its best layer by the validation images. The difference's interval is from images
    resampled for both together; the verdict says "higher" or "lower" only where it excludes 0.
    """
    records: list[Record] = []
    for task, probed in _tasks(table):
        best = _best_layers(probed)
        for measure in TASKS[task].measures:
            for a, b in _pairs(best):
                record = _compared(task, measure, best[a], best[b])
                if record is not None:
                    records.append(record)
    records.sort(key=comparison_order)
    return make_table(records, _COMPARISON)


_OTHERS = ("control", "shuffled")
_KINDS = ("encoder", "untrained", "pixels")


def summary_order(record: Record) -> tuple:
    """Sorts the records of `summarise_probe`."""
    task = str(record["task"])
    return (
        list(TASKS).index(task),
        TASKS[task].measures.index(str(record["measure"])),
        _KINDS.index(str(record["kind"])),
        str(record["encoder"]),
        int(record["depth"] or 0),
    )


def comparison_order(record: Record) -> tuple:
    """Sorts the records of `compare_probes`."""
    task = str(record["task"])
    return (
        list(TASKS).index(task),
        TASKS[task].measures.index(str(record["measure"])),
        str(record["a"]),
        str(record["b"]),
    )


def _record(
    task: str,
    measure: str,
    own: _Probed,
    constant: _Probed | None,
    others: Mapping[str, _Probed | None],
) -> Record:
    facts = own.facts
    by_seed = own.draws[measure]
    values = [float(draws[0]) for draws in by_seed.values()]
    interval = own.interval(measure)
    assert interval is not None
    n_classes = int(facts["n_classes"] or 0)
    extra: dict[str, Cell] = {}
    for name, other in others.items():
        extra |= interval_columns(name, None if other is None else other.interval(measure))
    control = others["control"]
    selectivity = None
    if control is not None and measure in control.draws and 0 in by_seed:
        change = by_seed[0] - control.draws[measure][0]
        selectivity = interval_of(change, own.n, own.n_images, share=False)
    base = None if constant is None else constant.mean(measure)
    return {
        "task": task,
        "axis": TASKS[task].axis,
        "measure": measure,
        **{name: facts[name] for name in ("encoder", "kind", "of", "layer", "depth", "head")},
        **interval_columns("value", interval),
        "seed_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "constant": None if base is None else number(float(base[0])),
        "bound": facts.get(f"bound_{measure}"),
        "chance": 1 / n_classes if measure == "class_accuracy" else None,
        **extra,
        **interval_columns("selectivity", selectivity),
        **{name: facts[name] for name in ("val", "n_parameters", "n_train")},
        "n_classes": n_classes,
        "n": own.n,
        "n_images": own.n_images,
        "n_seeds": len(values),
        "method": interval.method,
    }


def _best_layers(probed: Mapping[tuple[str, str, str], _Probed]) -> dict[str, _Probed]:
    best: dict[str, _Probed] = {}
    for (encoder, _, labels), own in probed.items():
        if labels != "true" or encoder == CONSTANT:
            continue
        known = best.get(encoder)
        if known is None or float(own.facts["val"] or 0) > float(known.facts["val"] or 0):
            best[encoder] = own
    return best


def _pairs(best: Mapping[str, _Probed]) -> Iterator[tuple[str, str]]:
    own = [name for name, probed in best.items() if probed.facts["kind"] == "encoder"]
    yield from combinations(own, 2)
    for name in own:
        for other, probed in best.items():
            if probed.facts["kind"] == "pixels" or (
                probed.facts["kind"] == "untrained" and probed.facts["of"] == name
            ):
                yield name, other


def _compared(task: str, measure: str, a: _Probed, b: _Probed) -> Record | None:
    seeds = sorted(set(a.draws.get(measure, {})) & set(b.draws.get(measure, {})))
    ours, theirs = (a.mean(measure, seeds), b.mean(measure, seeds)) if seeds else (None, None)
    if ours is None or theirs is None:
        return None
    difference = interval_of(ours - theirs, a.n, a.n_images, share=False)
    verdict = "undefined"
    if difference.defined:
        verdict = "not told apart"
        if difference.excludes(0.0):
            verdict = "higher" if difference.value > 0 else "lower"
    return {
        "task": task,
        "axis": TASKS[task].axis,
        "measure": measure,
        "a": a.facts["encoder"],
        "a_layer": a.facts["layer"],
        "b": b.facts["encoder"],
        "b_layer": b.facts["layer"],
        "a_value": number(float(ours[0])),
        "b_value": number(float(theirs[0])),
        **interval_columns("difference", difference),
        "n_images": a.n_images,
        "n_seeds": len(seeds),
        "verdict": verdict,
    }


def _tasks(table: pa.Table) -> Iterator[tuple[str, dict[tuple[str, str, str], _Probed]]]:
    """The probes of each task, with their draws."""
    if "task" not in table.column_names:
        return
    by_task: dict[str, list[dict]] = {}
    for row in table.to_pylist():
        if row.get("task") is not None:
            by_task.setdefault(row["task"], []).append(row)
    for task, rows in by_task.items():
        images = {name: k for k, name in enumerate(sorted({row["sample"] for row in rows}))}
        weights = weights_of(len(images))
        units: dict[tuple[str, str, str], dict[int, list[dict]]] = {}
        for row in rows:
            key = (row["encoder"], row["layer"], row["labels"])
            units.setdefault(key, {}).setdefault(row["seed"], []).append(row)
        yield task, {key: _probed(own, images, weights) for key, own in units.items()}


def _probed(
    by_seed: Mapping[int, list[dict]], images: Mapping[str, int], weights: np.ndarray
) -> _Probed:
    draws: dict[str, dict[int, Draws]] = {}
    n = 0
    for seed, rows in by_seed.items():
        task = TASKS[rows[0]["task"]]
        for measure in task.measures:
            found, n_items = _draws(measure, rows, images, weights)
            if found is not None:
                draws.setdefault(measure, {})[seed] = found
                n = max(n, n_items)
    first = by_seed[min(by_seed)]
    facts = {name: first[0].get(name) for name in ("encoder", "kind", "of", "layer", "depth")}
    facts |= {name: first[0].get(name) for name in ("head", "n_parameters", "n_classes")}
    facts |= {name: first[0].get(name) for name in first[0] if name.startswith("bound_")}
    facts["n_train"] = max(int(rows[0].get("n_train") or 0) for rows in by_seed.values())
    chosen = [rows[0].get("val") for rows in by_seed.values()]
    known = [float(value) for value in chosen if value is not None]
    facts["val"] = float(np.mean(known)) if known else None
    return _Probed(
        facts, draws, n, len({row["sample"] for rows in by_seed.values() for row in rows})
    )


def _draws(
    measure: str, rows: Sequence[dict], images: Mapping[str, int], weights: np.ndarray
) -> tuple[Draws | None, int]:
    """The measure of the images and of every resample, and how many items are behind it."""
    if measure == "map":
        own = [row for row in rows if row["content"] == SCORES]
        if not own:
            return None, 0
        scores = np.array([row["scores"] for row in own])
        there = np.array([row["there"] for row in own], float)
        places = [images[row["sample"]] for row in own]
        return average_precision(scores, there, weights[:, places]), len(own)
    if measure in ("boundary_iou", "pq", "best_iou"):
        own = [row for row in rows if row["content"] == measure]
        if not own:
            return None, 0
        sums = np.zeros((len(images), 2))
        for row in own:
            sums[images[row["sample"]]] += row["top"], row["bottom"]
        return OF_SUMS[measure](weights @ sums), len(own)
    own = [row for row in rows if row["content"] == COUNTS]
    if not own:
        return None, 0
    n_classes = int(own[0]["n_classes"])
    counts = np.zeros((len(images), n_classes, 3))
    for row in own:
        place = images[row["sample"]]
        counts[place, row["classes"]] += np.stack([row["right"], row["said"], row["there"]], 1)
    sums = (weights @ counts.reshape(len(images), -1)).reshape(len(weights), n_classes, 3)
    dense = TASKS[own[0]["task"]].scope == "location"
    return OF_SUMS[measure](sums), len(own) if dense else int(counts[..., 2].sum())
