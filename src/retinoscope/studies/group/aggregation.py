"""The table of aggregation: what one vector per image is made of, by the seeds of each objective.

Ranasinghe et al. 2022 (arXiv 2210.09996), tables 4 to 7: class token, average, and channel-wise
maximum; initialisation; token sub-sampling. The paper's own figures stand beside ours; they belong
to another model on other data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...arguments import checked
from ...encoders import SMALL, small_names
from ...errors import InputError
from ...stats import class_iou, over_seeds, resampled_mean_iou, resampled_ratio
from .._tables import Cell, Record, estimate, grouped, interval_columns, make_table, records
from .bottom_up import BOTTOM_UP
from .estimates import Rows, counts_by_class
from .top_down import ALL, CLASSIFICATION, TOP_DOWN, WITHOUT

if TYPE_CHECKING:
    import pyarrow as pa

BASE = "contrastive"
_TABLE = {
    **dict.fromkeys(("objective", "measure", "against"), "string"),
    **estimate("value"),
    **estimate("difference"),
    "paper": "float",
    **dict.fromkeys(("seeds", "images"), "int"),
    "method_of_interval": "string",
}
ACCURACY, LABELS, GROUPS, COMPONENTS = (
    "accuracy",
    "mean IoU of labels from text",
    "overlap of groups by k-means",
    "overlap of groups by principal components",
)
MEASURES = (ACCURACY, LABELS, GROUPS, COMPONENTS)
PAPER: Mapping[tuple[str, str], float] = {
    ("contrastive-max-self", ACCURACY): 0.423,
    ("contrastive-max-self", LABELS): 0.508,
    ("contrastive-max-self", COMPONENTS): 0.475,
    ("contrastive-average-self", ACCURACY): 0.440,
    ("contrastive-average-self", LABELS): 0.116,
    ("contrastive-average-self", COMPONENTS): 0.381,
    ("contrastive-class-self", ACCURACY): 0.460,
    ("contrastive-class-self", LABELS): 0.040,
    ("contrastive-class-self", COMPONENTS): 0.404,
    ("contrastive-max", ACCURACY): 0.289,
    ("contrastive-max", LABELS): 0.329,
    ("contrastive-max", COMPONENTS): 0.436,
}
"""ImageNet accuracy, Pascal VOC mean IoU and Jaccard index of the paper's models that were trained
on CC-12M: aggregation from a self-supervised start, and the maximum from random weights."""


@checked
def aggregation_specs(folder: str) -> tuple[str, ...]:
    """The contrastive encoders in a folder of `retinoscope train encoders`, all seeds of each.

    Raises:
        InputError: no such folder, or no contrastive encoder in it.
    """
    found = tuple(name for name in small_names(folder) if objective_of(name).startswith(BASE))
    if not found:
        raise InputError(
            f"{folder}: expected contrastive encoders, got none: train them with `retinoscope "
            "train encoders`"
        )
    return found


def objective_of(name: str) -> str:
    """ "small:contrastive-max/0@FOLDER" -> "contrastive-max"; "" for another model."""
    if not name.startswith(SMALL) or "/" not in name:
        return ""
    return name.removeprefix(SMALL).split("/", 1)[0]


def against_of(objective: str) -> str:
    """What an objective is compared with: the same start with the class token's vector; of
    sub-sampling, the same without it."""
    if objective.endswith("-drop"):
        return objective.removesuffix("-drop")
    parts = objective.split("-")
    return "-".join([parts[0], "class", *parts[2:]])


@dataclass(frozen=True)
class _Seeds:
    """One measure of one objective: values by seed, on the same images."""

    values: dict[str, float]
    draws: dict[str, np.ndarray]
    images: int


def aggregation_table(table: pa.Table) -> pa.Table:
    """One row per objective and measure: mean over seeds, difference from the class token's.

    Intervals are over images and seeds, paired by both. Empty unless several models of the form
    "small:OBJECTIVE/SEED" were run.
    """
    found: dict[tuple[str, str], _Seeds] = {}
    by_objective: dict[str, dict[str, Rows]] = {}
    for (model,), rows in grouped(records(table, weights="trained"), ("model",)).items():
        objective = objective_of(str(model))
        if objective:
            seed = str(model).split("/", 1)[1].split("@")[0]
            by_objective.setdefault(objective, {})[seed] = rows
    for objective, seeds in by_objective.items():
        for measure in MEASURES:
            one = _measured(measure, seeds)
            if one is not None:
                found[objective, measure] = one
    made = [_record(found, *key) for key in found]
    order = list(by_objective)
    made.sort(key=lambda r: (order.index(str(r["objective"])), MEASURES.index(str(r["measure"]))))
    return make_table(made, _TABLE)


def aggregation_order(record: Record) -> tuple[str, int]:
    """Sorts the records of `aggregation_table`."""
    return str(record["objective"]), MEASURES.index(str(record["measure"]))


def _record(found: Mapping[tuple[str, str], _Seeds], objective: str, measure: str) -> Record:
    mine = found[objective, measure]
    interval = over_seeds(
        np.array([*mine.values.values()]), np.stack([*mine.draws.values()]), mine.images
    )
    record: dict[str, Cell] = {
        "objective": objective,
        "measure": measure,
        **interval_columns("value", interval),
        "paper": PAPER.get((objective, measure)),
        "seeds": len(mine.values),
        "images": mine.images,
        "method_of_interval": interval.method,
    }
    against = against_of(objective)
    other = found.get((against, measure))
    if other is not None and against != objective and other.images == mine.images:
        both = [seed for seed in mine.values if seed in other.values]
        if both:
            change = over_seeds(
                np.array([mine.values[seed] - other.values[seed] for seed in both]),
                np.stack([mine.draws[seed] - other.draws[seed] for seed in both]),
                mine.images,
            )
            record |= {"against": against, **interval_columns("difference", change)}
    return record


def _measured(measure: str, seeds: Mapping[str, Rows]) -> _Seeds | None:
    values: dict[str, float] = {}
    draws: dict[str, np.ndarray] = {}
    images = 0
    for seed, rows in seeds.items():
        chosen = _chosen(measure, rows)
        if not chosen:
            continue
        samples = [str(row["sample"]) for row in chosen]
        images = len(set(samples))
        if measure == LABELS:
            counts = counts_by_class(chosen)[1]
            values[seed] = float(np.nanmean(class_iou(counts.sum(0))))
            draws[seed] = resampled_mean_iou(counts, samples)
        else:
            top = [float(row["correct" if measure == ACCURACY else "best"] or 0) for row in chosen]
            n = [1.0 if measure == ACCURACY else float(row["n"] or 0) for row in chosen]
            values[seed] = sum(top) / sum(n)
            draws[seed] = resampled_ratio(np.array(top), np.array(n), samples)
    return _Seeds(values, draws, images) if values else None


def _chosen(measure: str, rows: Sequence[dict[str, Cell]]) -> Rows:
    wanted: dict[str, dict[str, Cell]] = {
        ACCURACY: {"kind": CLASSIFICATION},
        LABELS: {"kind": TOP_DOWN, "method": "text", "background": WITHOUT, "candidates": ALL},
        GROUPS: {"kind": BOTTOM_UP, "method": "kmeans", "layer": "joint"},
        COMPONENTS: {"kind": BOTTOM_UP, "method": "pc", "layer": "joint"},
    }
    keys = wanted[measure]
    return [row for row in rows if all(row.get(k) == v for k, v in keys.items())]
