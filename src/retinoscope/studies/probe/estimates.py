"""Summary of every layer, with intervals and controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from .._best import interval_columns, interval_kinds, number
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import Record
from .draws import CONSTANT, Probed, probes_of
from .scores import interval_of
from .tasks import TASKS

KINDS: Columns = {
    **columns(TEXT, "task axis measure encoder kind of layer"),
    **columns(WHOLE, "place depth"),
    **interval_kinds("value"),
    **columns(NUMBER, "seed_sd constant bound chance"),
    **interval_kinds("control"),
    **interval_kinds("selectivity"),
    **interval_kinds("shuffled"),
    "val": NUMBER,
    "head": TEXT,
    **columns(WHOLE, "n_parameters n_train n_classes n n_images n_seeds"),
    "method": TEXT,
}
_OTHERS = ("control", "shuffled")
_NAMED = ("encoder", "kind", "of", "place", "layer", "depth", "val", "head")
_NAMED += ("n_parameters", "n_train", "n_classes")


def estimates(rows: pl.DataFrame) -> Iterator[Record]:
    """A record for each measure, encoder and layer of one task."""
    task = TASKS[rows["task"][0]]
    probed = probes_of(rows)
    constant = probed.get((CONSTANT, "", "true"))
    for (encoder, layer, labels), probe in probed.items():
        if labels == "true" and encoder != CONSTANT:
            others = {name: probed.get((encoder, layer, name)) for name in _OTHERS}
            for measure in probe.draws:
                measured: Record = {"task": task.name, "axis": task.axis, "measure": measure}
                yield measured | _record(measure, probe, constant, others)


def _record(
    measure: str, probe: Probed, constant: Probed | None, others: Mapping[str, Probed | None]
) -> Record:
    by_seed = probe.draws[measure]
    values = [float(draws[0]) for draws in by_seed.values()]
    interval = probe.interval(measure)
    assert interval is not None
    record: Record = {
        **{name: probe.facts[name] for name in _NAMED},
        **interval_columns("value", interval),
        "seed_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "bound": probe.facts.get(f"bound_{measure}"),
        "chance": 1 / probe.facts["n_classes"] if measure == "class_accuracy" else None,
        "n": probe.n,
        "n_images": probe.n_images,
        "n_seeds": len(values),
        "method": interval.method,
    }
    base = None if constant is None else constant.mean(measure)
    record["constant"] = None if base is None else number(float(base[0]))
    for name, other in others.items():
        if other is not None and (estimate := other.interval(measure)) is not None:
            record |= interval_columns(name, estimate)
    control = others["control"]
    if control is not None and measure in control.draws and 0 in by_seed:
        difference = by_seed[0] - control.draws[measure][0]
        estimate = interval_of(difference, probe.n, probe.n_images, share=False)
        record |= interval_columns("selectivity", estimate)
    return record
