"""Probes with one class per location: segmentation, foreground and parts."""

from __future__ import annotations

import numpy as np

from ...tokens import token_map
from .cases import Labels
from .dense import Dense, Relabel, boundary_overlap
from .dense_labels import DenseLabels, whole_cells
from .gather import Gathered
from .heads import fit_linear
from .labels import UNKNOWN
from .rows import Answer, count_rows, ratio_rows
from .scores import OF_SUMS
from .tasks import Task
from .truth import IGNORED, Cells, Located

_THRESHOLDS = np.linspace(-4.0, 4.0, 17)
"""Logit thresholds of the foreground, selected on the validation split."""


def probe_locations(
    task: Task, dense: DenseLabels, gathered: Gathered, number: int, labels: Labels, seed: int
) -> Answer:
    """One linear head for all locations; undefined where they all share one control label.

    Args:
        number: of the probe seed.
    """
    if labels == "control":
        dense = dense.controlled(seed)
    plan = dense.plan
    drawn, val_images = plan.drawn[number], plan.val[number]
    label, weight = dense.drawn(drawn), drawn.weight
    x = gathered.drawn[number]
    if labels == "shuffled":
        order = np.random.default_rng([seed, 29]).permutation(len(label))
        label, weight = label[order], weight[order]
    known = label != UNKNOWN
    if labels == "control" and len(np.unique(label[known])) < 2:
        return Answer((), head="linear", n_parameters=0, n_train=int(known.sum()))
    val = dense.of_images(val_images, _mixed(dense, seed) if labels == "shuffled" else None)
    table = val.table()
    binary = task.name == "foreground"

    def score(scores: np.ndarray) -> float:
        if binary:
            return max(_foreground_iou(table, scores, float(cut)) for cut in _THRESHOLDS)
        return _value(task, val, scores.argmax(1))

    x_val = gathered.of(val_images)
    head = fit_linear(x[known], label[known], len(dense.classes), x_val, score, weight[known])
    scores = head.scores(gathered.of(plan.test))
    if binary:
        on_val = head.scores(x_val)
        cut = max(
            _THRESHOLDS, key=lambda threshold: _foreground_iou(table, on_val, float(threshold))
        )
        predicted = (scores[:, 1] - scores[:, 0] > cut).astype(np.int64)
    else:
        predicted = scores.argmax(1)
    return Answer(
        _dense_rows(dense, predicted, binary),
        head="linear",
        n_parameters=head.n_parameters,
        strength=head.strength,
        val=head.val,
        converged=head.converged,
        n_train=int(known.sum()),
        bounds=dense.bound if labels != "control" else {},
        said=predicted,
    )


def _mixed(dense: DenseLabels, seed: int) -> Relabel:
    """Shuffles the labels of each image's locations."""

    def relabel(image: int, on: Located) -> Cells:
        labels = dense.labels(image)
        return whole_cells(on, np.random.default_rng([seed, 31, image]).permutation(labels))

    return relabel


def _foreground_iou(table: np.ndarray, scores: np.ndarray, cut: float) -> float:
    """IoU of the foreground if it is all locations with a logit above `cut`.

    Args:
        table: from `Dense.table`.
    """
    predicted = scores[:, 1] - scores[:, 0] > cut
    chosen = table[:-1][predicted]
    hits = chosen[:, 1].sum()
    union = chosen.sum() + table[:, 1].sum() - hits
    return float(hits / union) if union else 0.0


def _value(task: Task, cells: Dense, predicted: np.ndarray) -> float:
    return float(np.nan_to_num(OF_SUMS[task.measures[0]](cells.counts(predicted).sum(0)[None])[0]))


def _dense_rows(dense: DenseLabels, predicted: np.ndarray, binary: bool) -> list:
    rows = list(count_rows(dense.test.counts(predicted)))
    if binary:
        rows += ratio_rows("boundary_iou", _boundaries(dense, predicted))
    return rows


def _boundaries(dense: DenseLabels, predicted: np.ndarray) -> list[tuple[float, float]]:
    pairs: list[tuple[float, float]] = []
    start = 0
    owners = {size: token_map(boxes, size) for size, boxes in dense.boxes.items()}
    for image in dense.plan.test.tolist():
        truth, n = dense.truths[image], dense.located[image].n
        answers = predicted[start : start + n]
        start += n
        instance, place = truth.instance, owners[truth.size]
        mask = np.where(place >= 0, answers[np.maximum(place, 0)], 0) > 0
        pairs.append(boundary_overlap(instance > 0, mask, instance != IGNORED))
    return pairs


def constant_locations(task: Task, dense: DenseLabels, number: int) -> Answer:
    """One label everywhere: the best one on the validation split."""
    val = dense.of_images(dense.plan.val[number])
    best = max(
        range(len(dense.classes)),
        key=lambda label: _value(task, val, np.full(val.n_locations, label)),
    )
    predicted = np.full(dense.test.n_locations, best)
    return Answer(
        _dense_rows(dense, predicted, task.name == "foreground"),
        head="constant",
        n_parameters=0,
        n_train=0,
        bounds=dense.bound,
    )
