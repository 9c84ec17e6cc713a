"""Table 1 of Neo et al. 2024 from the rows of a token ablation, with intervals and controls."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...answers.matching import MODES
from ...answers.tasks import TASKS
from ...stats import cluster_mean, cluster_share, paired_difference, proportion
from .._paper import paper_number
from .._tables import (
    Cell,
    Record,
    estimate,
    grouped,
    interval_columns,
    make_table,
    rank,
    records,
    tested,
    tested_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

_SUMMARY = {
    **dict.fromkeys(("task", "mode", "condition"), "string"),
    **estimate("decrease"),
    "n": "int",
    "n_samples": "int",
    "n_tokens": "float",
    **dict.fromkeys(
        ("probability_change", "probability_change_low", "probability_change_high"), "float"
    ),
    "control": "string",
    **tested("difference"),
    "difference_n": "int",
    "method": "string",
    "paper": "float",
    "paper_source": "string",
}
_BASELINE = {
    **dict.fromkeys(("task", "mode", "part"), "string"),
    **estimate("accuracy"),
    "n": "int",
    "n_samples": "int",
    "method": "string",
}
_TASKS, _MODES = rank(TASKS), rank(MODES)
_ITEM = ("sample", "task", "mode", "item")


def summarise_ablation(table: pa.Table) -> pa.Table:
    """One row per task, mode and condition.

    `decrease` is the share of initially correct answers that became incorrect, with a 95% interval
    (Wilson, with an effective number of items where an image has several). For the object's sets,
    `difference` is the decrease minus that of `control` (as many random tokens outside the set),
    on the same prompts, with its interval and the p value of a sign-flip test over images.
    `paper` is the paper's number for LLaVA-1.5-7B on COCO where one is known.
    """
    rows = [
        row
        for row in records(table, baseline_correct=True)
        if row["condition"] != "none" and row.get("kept") is not False
    ]
    groups = grouped(rows, ("task", "mode", "condition"))
    summary = [_condition(key, items, groups) for key, items in groups.items()]
    summary.sort(key=summary_order)
    return make_table(summary, _SUMMARY)


def summary_order(record: Record) -> tuple[int, int, tuple[int, int, str]]:
    """Sorts the records of `summarise_ablation`."""
    task, mode, condition = (str(record[name]) for name in ("task", "mode", "condition"))
    return _TASKS[task], _MODES[mode], condition_rank(condition)


def condition_rank(name: str) -> tuple[int, int, str]:
    """Sorts conditions as the paper's Table 1 does: object sets with their controls first."""
    if name.removeprefix("random=").startswith("object"):
        return (0, 2 * int(name[-1] if "+" in name else 0) + name.startswith("random="), name)
    if name == "registers":
        return (1, 0, name)
    kind, _, size = name.partition("-")
    return (2 if kind == "gradient" else 3, int(size) if size.isdigit() else 0, name)


def _condition(
    key: tuple[Cell, ...],
    rows: list[dict[str, Cell]],
    groups: dict[tuple[Cell, ...], list[dict[str, Cell]]],
) -> Record:
    task, mode, condition = (str(part) for part in key)
    images = [str(row["sample"]) for row in rows]
    decrease = proportion([not row["correct"] for row in rows], images)
    changes = [
        (float(row["probability_after"]) - float(row["probability_before"]), image)  # type: ignore[arg-type]
        for row, image in zip(rows, images, strict=True)
        if row.get("probability_after") is not None
    ]
    change = cluster_mean([c for c, _ in changes], [i for _, i in changes]) if changes else None
    known = paper_number("ablation", task, condition)
    return {
        "task": task,
        "mode": mode,
        "condition": condition,
        **interval_columns("decrease", decrease),
        "n": decrease.n,
        "n_samples": decrease.n_groups,
        "n_tokens": sum(int(row["n_tokens"] or 0) for row in rows) / len(rows),
        **interval_columns("probability_change", change),
        **_against_control(task, mode, condition, rows, groups),
        "method": decrease.method,
        "paper": None if known is None else known.value,
        "paper_source": None if known is None else known.source,
    }


def _against_control(
    task: str,
    mode: str,
    condition: str,
    rows: list[dict[str, Cell]],
    groups: dict[tuple[Cell, ...], list[dict[str, Cell]]],
) -> Record:
    control = f"random={condition}"
    others = groups.get((task, mode, control))
    if re.fullmatch(r"object(\+\d)?", condition) is None or not others:
        return {}
    by_item = {_item(row): row for row in others}
    pairs = [(row, by_item[_item(row)]) for row in rows if _item(row) in by_item]
    difference = paired_difference(
        [not a["correct"] for a, _ in pairs],
        [not b["correct"] for _, b in pairs],
        [str(a["sample"]) for a, _ in pairs],
    )
    return {
        "control": control,
        **tested_columns("difference", difference),
        "difference_n": difference.n,
    }


def baseline(table: pa.Table) -> pa.Table:
    """Accuracy of the clean answers per task and mode.

    For polling also over present and absent objects alone, and balanced: the mean of these two.
    """
    rows = records(table, condition="none")
    found: list[Record] = []
    for (task, mode), items in grouped(rows, ("task", "mode")).items():
        parts = {"all": items}
        if task == "polling":
            parts["present"] = [row for row in items if row["answer"] == "yes"]
            parts["absent"] = [row for row in items if row["answer"] == "no"]
        for part, chosen in parts.items():
            if chosen:
                found.append(_accuracy(str(task), str(mode), part, chosen))
        if parts.get("present") and parts.get("absent"):
            found.append(_balanced(str(mode), parts["present"], parts["absent"]))
    found.sort(key=baseline_order)
    return make_table(found, _BASELINE)


def baseline_order(record: Record) -> tuple[int, int]:
    """Sorts the records of `baseline`."""
    return _TASKS[str(record["task"])], _MODES[str(record["mode"])]


def _accuracy(task: str, mode: str, part: str, rows: list[dict[str, Cell]]) -> Record:
    accuracy = proportion([bool(r["correct"]) for r in rows], [str(r["sample"]) for r in rows])
    return {
        "task": task,
        "mode": mode,
        "part": part,
        **interval_columns("accuracy", accuracy),
        "n": accuracy.n,
        "n_samples": accuracy.n_groups,
        "method": accuracy.method,
    }


def _balanced(mode: str, present: list[dict[str, Cell]], absent: list[dict[str, Cell]]) -> Record:
    # The mean of these weighted items is the mean of the two accuracies.
    total = len(present) + len(absent)
    hits, weights, images = [], [], []
    for part in (present, absent):
        weight = total / (2 * len(part))
        hits += [weight * bool(row["correct"]) for row in part]
        weights += [weight] * len(part)
        images += [str(row["sample"]) for row in part]
    accuracy = cluster_share(hits, weights, images)
    return {
        "task": "polling",
        "mode": mode,
        "part": "balanced",
        **interval_columns("accuracy", accuracy),
        "n": total,
        "n_samples": accuracy.n_groups,
        "method": f"balanced {accuracy.method}",
    }


def _item(row: Record) -> tuple[Cell, ...]:
    return tuple(row.get(name) for name in _ITEM)
