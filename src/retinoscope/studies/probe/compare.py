"""Encoders against each other: paired differences, and training runs taken together."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from .._tables import Record, estimate, interval_columns, make_table, number
from .draws import CONSTANT, Probed, probes_of
from .estimates import summary_order
from .scores import Draws, interval_of
from .tasks import TASKS

if TYPE_CHECKING:
    import pyarrow as pa

Members = list[Probed]
"""The training runs of one group, on one layer."""

_COMPARISON = {
    **dict.fromkeys(("task", "axis", "measure"), "string"),
    **dict.fromkeys(("a", "a_layer", "b", "b_layer"), "string"),
    **dict.fromkeys(("a_value", "b_value"), "float"),
    **estimate("difference"),
    **dict.fromkeys(("n_images", "n_seeds", "a_runs", "b_runs"), "int"),
    "verdict": "string",
}
_GROUPS = {
    **dict.fromkeys(("task", "axis", "measure", "encoder", "kind", "layer"), "string"),
    **dict.fromkeys(("place", "depth"), "int"),
    **estimate("value"),
    **dict.fromkeys(("run_sd", "bound"), "float"),
    **dict.fromkeys(("n", "n_images", "n_runs", "n_seeds"), "int"),
}


def average_probes(table: pa.Table) -> pa.Table:
    """One row per task, measure, group of encoders and layer.

    Encoders that differ in the seed of their training only ("NAME/0", "NAME/1") are a group. Its
    value is the mean over them; its interval is from images and training runs resampled together.
    """
    records: list[Record] = []
    for task, probed in probes_of(table):
        for (group, layer), members in _groups(probed).items():
            for measure in TASKS[task].measures:
                draws = _of_group(members, measure, group)
                if draws is not None:
                    records.append(_averaged(task, measure, group, layer, members, draws))
    records.sort(key=summary_order)
    return make_table(records, _GROUPS)


def compare_probes(table: pa.Table) -> pa.Table:
    """One row per task, measure and pair: two encoders, or an encoder and a baseline of its own.

    Encoders that differ in the seed of their training only are one (see `average_probes`). Each
    stands at its best layer by the validation images. The difference's interval is from images
    resampled for both together, and from training runs; the verdict says "higher" or "lower" only
    where it excludes 0.
    """
    records: list[Record] = []
    for task, probed in probes_of(table):
        best = _best_layers(probed)
        for measure in TASKS[task].measures:
            for a, b in _pairs(best):
                record = _compared(task, measure, (a, best[a]), (b, best[b]))
                if record is not None:
                    records.append(record)
    records.sort(key=comparison_order)
    return make_table(records, _COMPARISON)


def comparison_order(record: Record) -> tuple:
    """Sorts the records of `compare_probes`."""
    task = str(record["task"])
    return (
        list(TASKS).index(task),
        TASKS[task].measures.index(str(record["measure"])),
        str(record["a"]),
        str(record["b"]),
    )


def group_of(encoder: str) -> str:
    """The name of an encoder without the seed of its training."""
    return re.sub(r"/\d+$", "", encoder)


def _groups(
    probed: Mapping[tuple[str, str, str], Probed],
) -> dict[tuple[str, str], Members]:
    """Group and layer -> its encoders, under the true labels."""
    found: dict[tuple[str, str], Members] = {}
    for (encoder, layer, labels), own in probed.items():
        if labels == "true" and encoder != CONSTANT:
            found.setdefault((group_of(encoder), layer), []).append(own)
    return found


def _of_group(
    members: Members, measure: str, group: str, seeds: Sequence[int] | None = None
) -> Draws | None:
    """The draws of the mean over members; of several, they are drawn as well."""
    found = [draws for one in members if (draws := one.mean(measure, seeds)) is not None]
    if not found:
        return None
    table = np.stack(found)
    if len(table) == 1:
        return table[0]
    n_draws = table.shape[1]
    rng = np.random.default_rng(zlib.crc32(group.encode()))
    drawn = rng.integers(0, len(table), (len(table), n_draws))
    resampled = np.take_along_axis(table, drawn, 0).mean(0)
    resampled[0] = table[:, 0].mean()
    return resampled


def _averaged(
    task: str, measure: str, group: str, layer: str, members: Members, draws: Draws
) -> Record:
    first = members[0]
    interval = interval_of(draws, first.n, first.n_images)
    values = [float(found[0]) for one in members if (found := one.mean(measure)) is not None]
    return {
        "task": task,
        "axis": TASKS[task].axis,
        "measure": measure,
        "encoder": group,
        "kind": first.facts["kind"],
        "layer": layer,
        **{name: first.facts[name] for name in ("place", "depth")},
        **interval_columns("value", interval),
        "run_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "bound": first.facts.get(f"bound_{measure}"),
        "n": first.n,
        "n_images": first.n_images,
        "n_runs": len(members),
        "n_seeds": len(first.draws.get(measure, {})),
    }


def _best_layers(probed: Mapping[tuple[str, str, str], Probed]) -> dict[str, Members]:
    """Of each group the layer that is best on the validation images, averaged over members."""
    best: dict[str, tuple[float, Members]] = {}
    for (group, _), members in _groups(probed).items():
        value = float(np.mean([float(one.facts["val"] or 0) for one in members]))
        if group not in best or value > best[group][0]:
            best[group] = (value, members)
    return {group: members for group, (_, members) in best.items()}


def _pairs(best: Mapping[str, Members]) -> Iterator[tuple[str, str]]:
    kinds = {name: str(members[0].facts["kind"]) for name, members in best.items()}
    own = [name for name, kind in kinds.items() if kind == "encoder"]
    yield from combinations(own, 2)
    for name in own:
        for other, members in best.items():
            theirs = group_of(str(members[0].facts["of"])) == name
            if kinds[other] == "pixels" or (kinds[other] == "untrained" and theirs):
                yield name, other


def _compared(
    task: str, measure: str, one: tuple[str, Members], other: tuple[str, Members]
) -> Record | None:
    (a, ours), (b, theirs) = one, other
    seeds = sorted(
        set.intersection(*(set(probed.draws.get(measure, {})) for probed in (*ours, *theirs)))
    )
    if not seeds:
        return None
    first, second = (
        _of_group(members, measure, name, seeds) for name, members in ((a, ours), (b, theirs))
    )
    assert first is not None
    assert second is not None
    n_images = ours[0].n_images
    difference = interval_of(first - second, ours[0].n, n_images, share=False)
    verdict = "undefined"
    if difference.defined:
        verdict = "not told apart"
        if difference.excludes(0.0):
            verdict = "higher" if difference.value > 0 else "lower"
    return {
        "task": task,
        "axis": TASKS[task].axis,
        "measure": measure,
        "a": a,
        "a_layer": ours[0].facts["layer"],
        "b": b,
        "b_layer": theirs[0].facts["layer"],
        "a_value": number(float(first[0])),
        "b_value": number(float(second[0])),
        **interval_columns("difference", difference),
        "n_images": n_images,
        "n_seeds": len(seeds),
        "a_runs": len(ours),
        "b_runs": len(theirs),
        "verdict": verdict,
    }
