"""Reads probe answers back: the draws of every measure at every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ...stats import Interval
from .._training_runs import RUN_COLUMNS
from ..summary import c
from .rows import COUNTS, SCORES
from .scores import OF_SUMS, Draws, average_precision, interval_of, weights_of
from .tasks import TASKS, Task

CONSTANT = "constant"
"""Stands in for an encoder: the constant answer."""
BOUNDS = ("bound_miou", "bound_iou", "bound_pq", "bound_best_iou")
_FACTS = ("encoder", "kind", "of", *RUN_COLUMNS, "place", "layer", "depth", "head", "n_parameters")
_RATIOS = ("boundary_iou", "pq", "best_iou")
_COUNTS = ("right", "said", "there")
COLUMNS = (
    *(*_FACTS, "labels", "seed", "n_train", "val", "n_classes", *BOUNDS),
    *("content", "classes", *_COUNTS, "scores", "top", "bottom"),
)
"""Columns that are read besides the task."""


@dataclass(frozen=True, eq=False)
class Probed:
    """One layer under one kind of labels: for each measure, draws by probe seed."""

    facts: Mapping[str, Any]
    draws: Mapping[str, Mapping[int, Draws]]
    n: int
    n_images: int

    @property
    def group(self) -> str:
        """Name of the encoder's group: all training runs of its objective, or itself."""
        return self.facts["objective"] or self.facts["encoder"]

    def mean(self, measure: str, seeds: Sequence[int] | None = None) -> Draws | None:
        by_seed = self.draws.get(measure, {})
        chosen = [by_seed[seed] for seed in (sorted(by_seed) if seeds is None else seeds)]
        return np.mean(chosen, 0) if chosen else None

    def interval(self, measure: str) -> Interval | None:
        draws = self.mean(measure)
        return None if draws is None else interval_of(draws, self.n, self.n_images)


def probes_of(rows: pl.DataFrame) -> dict[tuple[str, str, str], Probed]:
    """The probes of one task by encoder, layer and labels, with their draws."""
    task = TASKS[rows["task"][0]]
    weights = weights_of(rows["sample"].n_unique())
    units = rows.with_columns(image=c("sample").rank("dense") - 1).partition_by(
        "encoder", "layer", "labels", maintain_order=True, as_dict=True
    )
    return {
        (encoder, layer, labels): _probed(task, of_unit, weights)
        for (encoder, layer, labels), of_unit in units.items()
    }


def _probed(task: Task, rows: pl.DataFrame, weights: np.ndarray) -> Probed:
    draws: dict[str, dict[int, Draws]] = {}
    n = 0
    for (seed,), of_seed in rows.partition_by("seed", maintain_order=True, as_dict=True).items():
        for measure in task.measures:
            measured, n_items = _measured(task, measure, of_seed, weights)
            if measured is not None:
                draws.setdefault(measure, {})[seed] = measured
                n = max(n, n_items)
    firsts = rows.group_by("seed").first().sort("seed")
    facts = firsts.select(*_FACTS, "n_classes", *BOUNDS).row(0, named=True)
    facts |= firsts.select(c("n_train").max(), c("val").mean()).row(0, named=True)
    return Probed(facts, draws, n, rows["sample"].n_unique())


def _measured(
    task: Task, measure: str, rows: pl.DataFrame, weights: np.ndarray
) -> tuple[Draws | None, int]:
    """The measure on the images and on every resample, and the number of items behind it."""
    content = measure if measure in _RATIOS else SCORES if measure == "map" else COUNTS
    chosen = rows.filter(c("content") == content)
    if chosen.is_empty():
        return None, 0
    images, n_images = chosen["image"].to_numpy(), weights.shape[1]
    if content == SCORES:
        scores, there = (np.array(chosen[name].to_list(), float) for name in ("scores", "there"))
        return average_precision(scores, there, weights[:, images]), chosen.height
    if content != COUNTS:
        sums = np.zeros((n_images, 2))
        np.add.at(sums, images, chosen.select("top", "bottom").to_numpy())
        return OF_SUMS[measure](weights @ sums), chosen.height
    classes = chosen.explode("classes", *_COUNTS)
    counts = np.zeros((n_images, chosen["n_classes"][0], 3))
    at = classes["image"].to_numpy(), classes["classes"].to_numpy()
    np.add.at(counts, at, classes.select(_COUNTS).to_numpy())
    sums = (weights @ counts.reshape(n_images, -1)).reshape(len(weights), *counts.shape[1:])
    n = chosen.height if task.scope == "location" else int(counts[..., 2].sum())
    return OF_SUMS[measure](sums), n
