"""Effects of blocking each edge on the words, with intervals, controls and an untrained copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...stats import Interval, cluster_mean, cluster_share, paired_difference
from .._columns import split, without_errors
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
from .options import TASKS

if TYPE_CHECKING:
    import pyarrow as pa

NONE = "none"
CONTROL = "random="
"""Before the name of edges: as many random ones in their place."""
PATHS = ("image:query", "image:generated")
"""The image's ways to the words: through the question's tokens, and directly."""
WEIGHTS = ("trained", "untrained")
MEASURES = (
    *("f1", "precision", "recall", "truth_f1", "truth_precision", "truth_recall"),
    *("judge_f1", "judge_precision", "judge_recall"),
    *("changed", "correct", "probability_change", "rank_change"),
)
_SCORE = {"description": "f1", "question": "probability_change"}
"""What an effect and its control are compared by."""
BANDS = ("f1", "probability_change")
"""What is drawn as a curve over layers."""
_KINDS = ("all", "slide", "keep", "from")

_CURVE = ("weights", "reading", "edges", "layers_kind")
_PEAKS = {**dict.fromkeys(_CURVE, "string"), **PEAK}
_SUMMARY = {
    **dict.fromkeys(("task", "weights", "edges", "reading", "layers", "layers_kind"), "string"),
    **dict.fromkeys(("first_layer", "last_layer", "n_layers"), "int"),
    **{name: kind for measure in MEASURES for name, kind in estimate(measure).items()},
    **dict.fromkeys(("n", "n_samples", "n_undefined"), "int"),
    **dict.fromkeys(("n_edges", "n_generated_keys"), "float"),
    "control": "string",
    **tested("difference"),
    **scanned_types(),
    **{name: kind for one in BANDS for name, kind in scanned_types((), one).items()},
    "difference_n": "int",
    "method": "string",
}
_PATHS = {
    **dict.fromkeys(("task", "weights", "reading", "layers"), "string"),
    **tested("difference"),
    **dict.fromkeys(("n", "n_samples"), "int"),
    "method": "string",
}
_BASELINE = {
    **dict.fromkeys(("task", "weights"), "string"),
    **{
        name: kind
        for measure in ("truth_f1", "truth_precision", "truth_recall", "correct", "probability")
        for name, kind in estimate(measure).items()
    },
    **dict.fromkeys(("n", "n_samples", "n_undefined"), "int"),
    "method": "string",
}
Groups = dict[tuple[Cell, ...], list[dict[str, Cell]]]
_KEYS = ("task", "weights", "reading", "edges", "layers")


def summarise_flow(table: pa.Table) -> pa.Table:
    """One row per task, weights, reading, edges and layer set.

    Of descriptions: precision, recall and F1 of the objects that are still named, against those of
    the untouched description and (`truth_...`) against those that are in the image; values that are
    undefined are left out of the means, `n_undefined` counts those of F1. Of questions: the mean
    change of the right answer's probability and rank at the prompt's last position, over all
    questions, and the share of texts that hold the answer. `changed` is the share of texts that are
    another than before. `difference` is F1 (of questions: the change of probability) minus that
    under as many random edges, on the same prompts: negative where the edges matter more.
    """
    rows = [row for row in records(table) if row["edges"] != NONE]
    groups = grouped(rows, _KEYS)
    found = [_condition(key, items, groups) for key, items in groups.items()]
    found.sort(key=summary_order)
    return make_table(scanned_layers(found), _SUMMARY)


def scanned_layers(found: Sequence[Record]) -> list[Record]:
    """Corrects the layer sets of a kind, for each edges, for how many there are."""
    curve = ("task", "weights", "reading", "edges", "layers_kind")
    for name in BANDS:
        found = scanned(found, curve, band=name)
    return list(found)


def flow_peaks(table: pa.Table) -> pa.Table:
    """The layers where blocking matters most (of kinds "slide" and "from": least F1) or that keep
    most when only they stay open ("keep": most F1), of descriptions; chosen on one half of the
    images and judged on the other. `control` has as many random edges in the same layers."""
    rows = without_errors(table, task="description")
    if not rows.num_rows:
        return make_table([], _PEAKS)
    groups = {key: rows.take(places) for key, places in split(rows, _CURVE)}
    found: list[Record] = []
    for (weights, reading, edges, kind), own in groups.items():
        if edges == NONE or kind == "all":
            continue
        control = groups.get((weights, reading, f"{CONTROL}{edges}", kind))
        best = peak_of(
            Side(own, "f1"),
            ("layers",),
            Side(control, "f1") if control else None,
            smallest=kind != "keep",
        )
        found.append(dict(zip(_CURVE, (weights, reading, edges, kind), strict=True)) | dict(best))
    found.sort(key=peaks_order)
    return make_table(found, _PEAKS)


def peaks_order(record: Record) -> tuple[object, ...]:
    """Sorts the records of `flow_peaks`."""
    edges = str(record["edges"])
    name = edges.removeprefix(CONTROL)
    return (
        rank(WEIGHTS)[str(record["weights"])],
        str(record["reading"]),
        (name.count(","), name, edges != name),
        rank(_KINDS)[str(record["layers_kind"])],
    )


def summary_order(record: Record) -> tuple[object, ...]:
    """Sorts the records of `summarise_flow`."""
    edges = str(record["edges"])
    name = edges.removeprefix(CONTROL)
    return (
        rank(TASKS)[str(record["task"])],
        rank(WEIGHTS)[str(record["weights"])],
        str(record["reading"]),
        (name.count(","), name, edges != name),
        rank(_KINDS)[str(record["layers_kind"])],
        int(record["first_layer"] or 0),
    )


def flow_paths(table: pa.Table) -> pa.Table:
    """One row per task, weights, reading and layer set: the image's two ways to the words.

    `difference` is what is left without image:query minus what is left without image:generated
    (F1 of descriptions, of questions the change of probability), on the same prompts, with its
    interval and the p value of a sign-flip test over images: positive where the direct way matters
    more.
    """
    rows = [row for row in records(table) if row["edges"] in PATHS]
    found: list[Record] = []
    for key, items in grouped(rows, ("task", "weights", "reading", "layers")).items():
        measure = _measure(_SCORE[str(key[0])])
        through, direct = (
            {
                (r["sample"], r["item"]): x
                for r in items
                if r["edges"] == edges and (x := measure(r)) is not None
            }
            for edges in PATHS
        )
        both = [one for one in through if one in direct]
        if both:
            difference = paired_difference(
                [float(through[one]) for one in both],
                [float(direct[one]) for one in both],
                [str(one[0]) for one in both],
            )
            found.append(
                {
                    **dict(zip(("task", "weights", "reading", "layers"), key, strict=True)),
                    **tested_columns("difference", difference),
                    "n": difference.n,
                    "n_samples": difference.n_groups,
                    "method": difference.method,
                }
            )
    found.sort(key=paths_order)
    return make_table(found, _PATHS)


def paths_order(record: Record) -> tuple[object, ...]:
    """Sorts the records of `flow_paths`."""
    task, weights = rank(TASKS)[str(record["task"])], rank(WEIGHTS)[str(record["weights"])]
    return task, weights, str(record["reading"]), str(record["layers"])


def flow_baseline(table: pa.Table) -> pa.Table:
    """The untouched model: how well it describes the images and answers the questions."""
    rows = records(table, edges=NONE)
    found: list[Record] = []
    for (task, weights), items in grouped(rows, ("task", "weights")).items():
        values = {
            name: _mean(items, lambda row, name=name: row.get(name))
            for name in ("truth_f1", "truth_precision", "truth_recall")
        }
        values["correct"] = _mean(items, lambda row: row.get("correct_before"))
        values["probability"] = _mean(items, lambda row: row.get("probability_before"))
        found.append(
            {
                "task": task,
                "weights": weights,
                **_columns(values),
                **_sizes(items),
                "n_undefined": _undefined(items, str(task), "truth_f1"),
                "method": values["truth_f1" if task == "description" else "correct"].method,
            }
        )
    found.sort(key=baseline_order)
    return make_table(found, _BASELINE)


def baseline_order(record: Record) -> tuple[int, int]:
    """Sorts the records of `flow_baseline`."""
    return rank(TASKS)[str(record["task"])], rank(WEIGHTS)[str(record["weights"])]


def _condition(key: tuple[Cell, ...], rows: list[dict[str, Cell]], groups: Groups) -> Record:
    task, weights, reading, edges, layers = (str(part) for part in key)
    values = {name: _mean(rows, _measure(name), name.endswith("_change")) for name in MEASURES}
    return {
        "task": task,
        "weights": weights,
        "edges": edges,
        "reading": reading,
        "layers": layers,
        **{
            name: rows[0][name] for name in ("layers_kind", "first_layer", "last_layer", "n_layers")
        },
        **_columns(values),
        **_sizes(rows),
        "n_undefined": _undefined(rows, task, "f1"),
        "n_edges": sum(int(row["n_edges"] or 0) for row in rows) / len(rows),
        "n_generated_keys": sum(int(row["n_generated_keys"] or 0) for row in rows) / len(rows),
        **_against_control(key, rows, groups),
        "method": values[_SCORE[task]].method,
    }


def _measure(name: str) -> Callable[[Record], Cell]:
    if name == "correct":
        return lambda row: row.get("correct_after")
    if name.endswith("_change"):
        what = name.removesuffix("_change")
        return lambda row: _change(row.get(f"{what}_before"), row.get(f"{what}_after"))
    return lambda row: row.get(name)


def _change(before: Cell, after: Cell) -> float | None:
    if before is None or after is None:
        return None
    return float(after) - float(before)


def _mean(rows: Sequence[Record], of: Callable[[Record], Cell], change: bool = False) -> Interval:
    found = [(float(value), str(row["sample"])) for row in rows if (value := of(row)) is not None]
    values, samples = [value for value, _ in found], [sample for _, sample in found]
    if change:
        return cluster_mean(values, samples)
    return cluster_share(values, groups=samples)


def _columns(values: dict) -> Record:
    found: dict[str, Cell] = {}
    for name, interval in values.items():
        found |= banded_columns(name, interval)
    return found


def _sizes(rows: Sequence[Record]) -> dict[str, Cell]:
    return {"n": len(rows), "n_samples": len({str(row["sample"]) for row in rows})}


def _undefined(rows: Sequence[Record], task: str, name: str) -> int:
    return sum(row.get(name) is None for row in rows) if task == "description" else 0


def _against_control(key: tuple[Cell, ...], rows: list[dict[str, Cell]], groups: Groups) -> Record:
    task, weights, reading, edges, layers = (str(part) for part in key)
    measure = _measure(_SCORE[task])
    others = {
        (row["sample"], row["item"]): measure(row)
        for row in groups.get((task, weights, reading, CONTROL + edges, layers), [])
    }
    pairs = [
        (float(mine), float(other), str(row["sample"]))
        for row in rows
        if (mine := measure(row)) is not None
        and (other := others.get((row["sample"], row["item"]))) is not None
    ]
    if not pairs:
        return {}
    ours, theirs, samples = zip(*pairs, strict=True)
    difference = paired_difference(ours, theirs, samples)
    return {
        "control": CONTROL + edges,
        **tested_columns("difference", difference),
        "difference_n": difference.n,
    }
