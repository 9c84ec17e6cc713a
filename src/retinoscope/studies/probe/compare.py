"""Compares encoders: paired differences, averaged over training runs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from .._best import interval_columns, interval_kinds, number
from ..columns import NUMBER, TEXT, WHOLE, Columns, columns
from ..summary import Record
from .draws import CONSTANT, Probed, probes_of
from .scores import Draws, interval_of
from .tasks import TASKS

Members = list[Probed]
"""The training runs of one group, on one layer."""

COMPARISON: Columns = {
    **columns(TEXT, "task axis measure a a_layer b b_layer"),
    **columns(NUMBER, "a_value b_value"),
    **interval_kinds("difference"),
    **columns(WHOLE, "n_images n_seeds a_runs b_runs"),
    "verdict": TEXT,
}
GROUPS: Columns = {
    **columns(TEXT, "task axis measure encoder kind layer"),
    **columns(WHOLE, "place depth"),
    **interval_kinds("value"),
    **columns(NUMBER, "run_sd bound"),
    **columns(WHOLE, "n n_images n_runs n_seeds"),
}


def groups(rows: pl.DataFrame) -> Iterator[Record]:
    """A record for each measure, group of encoders and layer of one task."""
    task = TASKS[rows["task"][0]]
    for (group, _), members in _groups(probes_of(rows)).items():
        for measure in task.measures:
            draws = _of_group(members, measure, group)
            if draws is not None:
                measured: Record = {"task": task.name, "axis": task.axis, "measure": measure}
                yield measured | _averaged(measure, group, members, draws)


def comparison(rows: pl.DataFrame) -> Iterator[Record]:
    """A record for each measure and pair of one task."""
    task = TASKS[rows["task"][0]]
    probed = probes_of(rows)
    best = _best_layers(probed)
    for measure in task.measures:
        for a, b in _pairs(best, {encoder: probe.group for (encoder, *_), probe in probed.items()}):
            record = _compared(measure, (a, best[a]), (b, best[b]))
            if record is not None:
                yield {"task": task.name, "axis": task.axis, "measure": measure, **record}


def _groups(
    probed: Mapping[tuple[str, str, str], Probed],
) -> dict[tuple[str, str], Members]:
    """(Group, layer) -> its encoders, under the true labels."""
    groups: dict[tuple[str, str], Members] = {}
    for (encoder, layer, labels), probe in probed.items():
        if labels == "true" and encoder != CONSTANT:
            groups.setdefault((probe.group, layer), []).append(probe)
    return groups


def _of_group(
    members: Members, measure: str, group: str, seeds: Sequence[int] | None = None
) -> Draws | None:
    """Draws of the mean over members; where there are several, members are resampled too."""
    draws_of_members = [
        draws for member in members if (draws := member.mean(measure, seeds)) is not None
    ]
    if not draws_of_members:
        return None
    table = np.stack(draws_of_members)
    if len(table) == 1:
        return table[0]
    n_draws = table.shape[1]
    rng = np.random.default_rng(zlib.crc32(group.encode()))
    drawn = rng.integers(0, len(table), (len(table), n_draws))
    resampled = np.take_along_axis(table, drawn, 0).mean(0)
    resampled[0] = table[:, 0].mean()
    return resampled


def _averaged(measure: str, group: str, members: Members, draws: Draws) -> Record:
    first = members[0]
    values = [
        float(of_member[0]) for member in members if (of_member := member.mean(measure)) is not None
    ]
    return {
        "encoder": group,
        **{name: first.facts[name] for name in ("kind", "layer", "place", "depth")},
        **interval_columns("value", interval_of(draws, first.n, first.n_images)),
        "run_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "bound": first.facts.get(f"bound_{measure}"),
        "n": first.n,
        "n_images": first.n_images,
        "n_runs": len(members),
        "n_seeds": len(first.draws.get(measure, {})),
    }


def _best_layers(probed: Mapping[tuple[str, str, str], Probed]) -> dict[str, Members]:
    """Per group, the layer that is best on the validation images, averaged over members."""
    best: dict[str, tuple[float, Members]] = {}
    for (group, _), members in _groups(probed).items():
        value = float(np.mean([float(member.facts["val"] or 0) for member in members]))
        if group not in best or value > best[group][0]:
            best[group] = (value, members)
    return {group: members for group, (_, members) in best.items()}


def _pairs(best: Mapping[str, Members], group_of: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    kinds = {name: str(members[0].facts["kind"]) for name, members in best.items()}
    encoders = [name for name, kind in kinds.items() if kind == "encoder"]
    yield from combinations(encoders, 2)
    for name in encoders:
        for other, members in best.items():
            is_baseline = group_of.get(members[0].facts["of"]) == name
            if kinds[other] == "pixels" or (kinds[other] == "untrained" and is_baseline):
                yield name, other


def _compared(
    measure: str, first_side: tuple[str, Members], second_side: tuple[str, Members]
) -> Record | None:
    (a, a_members), (b, b_members) = first_side, second_side
    seeds = sorted(
        set.intersection(
            *(set(probed.draws.get(measure, {})) for probed in (*a_members, *b_members))
        )
    )
    if not seeds:
        return None
    first, second = (
        _of_group(members, measure, name, seeds)
        for name, members in ((a, a_members), (b, b_members))
    )
    assert first is not None
    assert second is not None
    n_images = a_members[0].n_images
    difference = interval_of(first - second, a_members[0].n, n_images, share=False)
    verdict = "undefined"
    if difference.defined:
        verdict = "not told apart"
        if difference.excludes(0.0):
            verdict = "higher" if difference.value > 0 else "lower"
    return {
        "a": a,
        "a_layer": a_members[0].facts["layer"],
        "b": b,
        "b_layer": b_members[0].facts["layer"],
        "a_value": number(float(first[0])),
        "b_value": number(float(second[0])),
        **interval_columns("difference", difference),
        "n_images": n_images,
        "n_seeds": len(seeds),
        "a_runs": len(a_members),
        "b_runs": len(b_members),
        "verdict": verdict,
    }
