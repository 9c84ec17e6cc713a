"""Accuracy on an object's own ground and on the other, by objective, over images and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.scenes import GROUNDS
from ...stats import over_seeds, resampled_ratio
from .._executor import Rows
from .._tables import Cell, Record, estimate, grouped, interval_columns, make_table, records
from ..group.aggregation import objective_of

if TYPE_CHECKING:
    import pyarrow as pa

MATCHED, MISMATCHED, GAP, WORST = "matched", "mismatched", "gap", "worst group"
PAPER: Mapping[tuple[str, str], float] = {
    ("grounded-class", MATCHED): 0.802,
    ("grounded-class", MISMATCHED): 0.481,
    ("grounded-class", GAP): 0.321,
    ("grounded-max", MATCHED): 0.769,
    ("grounded-max", MISMATCHED): 0.749,
    ("grounded-max", GAP): 0.020,
}
"""Waterbirds, birds of the water, of the paper: CLIP's class token and CLIPpy's maximum."""
COLUMNS = ("sample", "error", "item", "side", "ground", "correct", "side_correct")
_TABLE = {
    **dict.fromkeys(("objective", "measure", "group", "against"), "string"),
    **estimate("value"),
    **estimate("difference"),
    "paper": "float",
    **dict.fromkeys(("seeds", "images"), "int"),
    "method_of_interval": "string",
}


def summarise_spurious(table: pa.Table) -> pa.Table:
    """One row per objective, measure and group; intervals over images and seeds.

    `measure` is "matched" (the object's own ground), "mismatched", "gap" (their difference, on the
    same objects) or "worst group" (the least accurate of side x ground); `group` "kind" or "side"
    says what counts as right. `difference` is from the objective "grounded-class".
    """
    by_objective: dict[str, dict[str, Rows]] = {}
    for (model,), rows in grouped(records(table), ("model",)).items():
        name = str(model)
        objective = objective_of(name) or name
        seed = name.split("/", 1)[1] if objective_of(name) else "0"
        by_objective.setdefault(objective, {})[seed] = rows
    found: dict[tuple[str, str, str], tuple[dict[str, float], dict[str, np.ndarray], int]] = {}
    for objective, seeds in by_objective.items():
        for group, column in (("kind", "correct"), ("side", "side_correct")):
            for measure in (MATCHED, MISMATCHED, GAP, WORST):
                parts = {seed: _measured(measure, rows, column) for seed, rows in seeds.items()}
                found[objective, measure, group] = (
                    {seed: value for seed, (value, _, _) in parts.items()},
                    {seed: draws for seed, (_, draws, _) in parts.items()},
                    next(iter(parts.values()))[2],
                )
    return make_table([_record(found, *key) for key in found], _TABLE)


def spurious_order(record: Record) -> tuple[str, ...]:
    """Sorts the records of `summarise_spurious`."""
    order = (MATCHED, MISMATCHED, GAP, WORST)
    return (
        str(record["objective"]),
        str(record["group"]),
        str(order.index(str(record["measure"]))),
    )


def _record(
    found: Mapping[tuple[str, str, str], Any], objective: str, measure: str, group: str
) -> Record:
    values, draws, images = found[objective, measure, group]
    interval = over_seeds(np.array([*values.values()]), np.stack([*draws.values()]), images)
    record: dict[str, Cell] = {
        "objective": objective,
        "measure": measure,
        "group": group,
        **interval_columns("value", interval),
        "paper": PAPER.get((objective, measure)) if group == "side" else None,
        "seeds": len(values),
        "images": images,
        "method_of_interval": interval.method,
    }
    other = found.get(("grounded-class", measure, group))
    if other is not None and objective != "grounded-class":
        both = [seed for seed in values if seed in other[0]]
        if both:
            change = over_seeds(
                np.array([values[seed] - other[0][seed] for seed in both]),
                np.stack([draws[seed] - other[1][seed] for seed in both]),
                images,
            )
            record |= {"against": "grounded-class", **interval_columns("difference", change)}
    return record


def _measured(measure: str, rows: Rows, column: str) -> tuple[float, np.ndarray, int]:
    """The value, its resamples over all images, and how many images there are."""
    samples = [str(row["sample"]) for row in rows]
    right = np.array([float(bool(row[column])) for row in rows])
    home = np.array([row["side"] == row["ground"] for row in rows])
    parts: dict[str, np.ndarray] = {MATCHED: home, MISMATCHED: ~home}
    if measure == WORST:
        side = np.array([row["side"] for row in rows])
        parts = {
            f"{one} {where}": (side == one) & chosen
            for one in GROUNDS
            for where, chosen in parts.items()
        }
    # Every image takes part in every resample, so that groups are drawn together.
    values = {key: float(right[chosen].mean()) for key, chosen in parts.items() if chosen.any()}
    draws = {
        key: resampled_ratio(right * parts[key], parts[key].astype(float), samples)
        for key in values
    }
    n = len(set(samples))
    if measure == WORST:
        return min(values.values()), np.nanmin(np.stack([*draws.values()]), 0), n
    if measure == GAP:
        return (
            values[MATCHED] - values[MISMATCHED],
            draws[MATCHED] - draws[MISMATCHED],
            n,
        )
    return values[measure], draws[measure], n
