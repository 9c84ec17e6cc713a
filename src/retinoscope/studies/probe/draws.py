"""What probes answered, read back: the draws of every measure of every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...stats import Interval
from .._tables import Cell
from .rows import COUNTS, SCORES
from .scores import OF_SUMS, Draws, average_precision, interval_of, weights_of
from .tasks import TASKS

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    *("sample", "error", "encoder", "kind", "of", "place", "layer", "depth", "labels", "seed"),
    "content",
    *("classes", "right", "said", "there", "scores", "top", "bottom", "head", "n_parameters"),
    *("n_train", "strength", "val", "n_classes"),
    *(f"bound_{name}" for name in ("miou", "iou", "pq", "best_iou")),
)
"""What the summaries read besides the task."""
CONSTANT = "constant"
"""In place of an encoder: the constant answer."""


@dataclass(frozen=True, eq=False)
class Probed:
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


def probes_of(table: pa.Table) -> Iterator[tuple[str, dict[tuple[str, str, str], Probed]]]:
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
) -> Probed:
    draws: dict[str, dict[int, Draws]] = {}
    n = 0
    for seed, rows in by_seed.items():
        task = TASKS[rows[0]["task"]]
        for measure in task.measures:
            found, n_items = _measured(measure, rows, images, weights)
            if found is not None:
                draws.setdefault(measure, {})[seed] = found
                n = max(n, n_items)
    first = by_seed[min(by_seed)]
    facts = {
        name: first[0].get(name) for name in ("encoder", "kind", "of", "place", "layer", "depth")
    }
    facts |= {name: first[0].get(name) for name in ("head", "n_parameters", "n_classes")}
    facts |= {name: first[0].get(name) for name in first[0] if name.startswith("bound_")}
    facts["n_train"] = max(int(rows[0].get("n_train") or 0) for rows in by_seed.values())
    chosen = [rows[0].get("val") for rows in by_seed.values()]
    known = [float(value) for value in chosen if value is not None]
    facts["val"] = float(np.mean(known)) if known else None
    return Probed(
        facts, draws, n, len({row["sample"] for rows in by_seed.values() for row in rows})
    )


def _measured(
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
