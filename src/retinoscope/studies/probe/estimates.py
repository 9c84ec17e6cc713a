"""Estimates of every layer, with intervals and controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .._tables import Cell, Record, estimate, interval_columns, make_table, number
from .draws import CONSTANT, Probed, probes_of
from .scores import interval_of
from .tasks import TASKS

if TYPE_CHECKING:
    import pyarrow as pa

_SUMMARY = {
    **dict.fromkeys(("task", "axis", "measure", "encoder", "kind", "of", "layer"), "string"),
    **dict.fromkeys(("place", "depth"), "int"),
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


def summarise_probe(table: pa.Table) -> pa.Table:
    """One row per task, measure, encoder and layer.

    `value` is the mean over probe seeds, its interval from images resampled together for all seeds;
    `seed_sd` the standard deviation over seeds. `selectivity` is the value minus that with control
    labels, of the first seed, paired over images. `bound` is the best that one answer per location
    can reach; `constant` the constant answer.
    """
    records: list[Record] = []
    for task, probed in probes_of(table):
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


_OTHERS = ("control", "shuffled")
_NAMED = ("encoder", "kind", "of", "place", "layer", "depth", "head")
_KINDS = ("encoder", "untrained", "pixels")


def summary_order(record: Record) -> tuple:
    """Sorts the records of `summarise_probe`."""
    task = str(record["task"])
    return (
        list(TASKS).index(task),
        TASKS[task].measures.index(str(record["measure"])),
        _KINDS.index(str(record["kind"])),
        int(record["place"] or 0),
        int(record["depth"] or 0),
    )


def _record(
    task: str,
    measure: str,
    own: Probed,
    constant: Probed | None,
    others: Mapping[str, Probed | None],
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
        **{name: facts[name] for name in _NAMED},
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
