"""Probes of objects, pairs and images: one answer per case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from .gather import Gathered
from .heads import Linear, fit_linear
from .labels import Labelled, control_labels
from .rows import Answer, count_rows, score_rows
from .scores import OF_SUMS, average_precision, one_of
from .split import Split
from .tasks import Task

Labels = Literal["true", "control", "shuffled"]
CASES = 4000
"""Limit on training cases; where there are more, they are sampled."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Features and labels of some cases."""

    x: Float[np.ndarray, "n d"]
    label: np.ndarray
    image: np.ndarray


def cases_of(
    labelled: Labelled, gathered: Gathered, images: np.ndarray, label: np.ndarray
) -> Cases:
    """The cases of these images, without objects that lie in no location."""
    chosen = labelled.of(images)
    members = labelled.members[chosen]
    if members.shape[1]:
        x = np.concatenate([gathered.pooled[column] for column in members.T], 1)
    else:
        x = gathered.mean[labelled.image[chosen]]
    finite = np.isfinite(x).all(1)
    chosen = chosen[finite]
    return Cases(x[finite], label[chosen], labelled.image[chosen])


def probe_cases(
    task: Task,
    labelled: Labelled,
    gathered: Gathered,
    split: Split,
    labels: Labels,
    seed: int,
) -> Answer:
    """Fits on the training images, selects on the validation images, answers the test images.

    Undefined where all training cases share one control label: there is nothing to memorise.
    """
    n_classes = len(labelled.classes)
    label = labelled.label
    if labels == "control":
        label = control_labels(labelled.kind, label, n_classes, seed)
    train = cases_of(labelled, gathered, split.train, label)
    val = cases_of(labelled, gathered, split.val, label)
    test = cases_of(labelled, gathered, split.test, label)
    rng = np.random.default_rng([seed, 23])
    if labels == "shuffled":
        train = Cases(train.x, rng.permutation(train.label), train.image)
        val = Cases(val.x, rng.permutation(val.label), val.image)
    if len(train.x) > CASES:
        kept = drawn_cases(train.label, CASES, rng)
        train = Cases(train.x[kept], train.label[kept], train.image[kept])
    if labels == "control" and len(np.unique(train.label)) < 2:
        return Answer((), head="linear", n_parameters=0, n_train=len(train.x))
    head = fit_linear(
        train.x,
        train.label,
        n_classes,
        val.x,
        lambda scores: _reached(task, scores, val, n_classes),
    )
    return _answer(task, head, test, split.test, n_classes, len(train.x))


def drawn_cases(label: np.ndarray, n: int, rng: np.random.Generator) -> Int[np.ndarray, " case"]:
    """Draws `most` of the cases, then adds the first case of every answer that the draw misses.

    Args:
        label: one class per case, or (n, classes) booleans, each class answered yes or no.
    """
    kept = rng.choice(len(label), n, replace=False)
    columns = [label] if label.ndim == 1 else list(label.T)
    rare = [
        int(np.flatnonzero(column == answer)[0])
        for column in columns
        for answer in np.setdiff1d(column, column[kept])
    ]
    return np.unique([*kept, *rare])


def _reached(task: Task, scores: np.ndarray, cases: Cases, n_classes: int) -> float:
    if task.scope == "image":
        return float(average_precision(scores, cases.label, np.ones((1, len(scores))))[0])
    sums = one_of(scores.argmax(1), cases.label, np.zeros(len(scores), np.int64), 1, n_classes)
    return float(OF_SUMS[task.measures[0]](sums)[0])


def _answer(
    task: Task, head: Linear, test: Cases, images: np.ndarray, n_classes: int, n_train: int
) -> Answer:
    scores = head.scores(test.x)
    place = np.searchsorted(images, test.image)
    if task.scope == "image":
        rows = score_rows(scores, test.label, place)
    else:
        rows = count_rows(one_of(scores.argmax(1), test.label, place, len(images), n_classes))
    return Answer(
        rows,
        head="linear",
        n_parameters=head.n_parameters,
        strength=head.strength,
        val=head.val,
        converged=head.converged,
        n_train=n_train,
    )


def constant_cases(task: Task, labelled: Labelled, split: Split) -> Answer:
    """The most frequent training label for every case; for several labels at once, equal scores."""
    n_classes = len(labelled.classes)
    train, test = labelled.of(split.train), labelled.of(split.test)
    place = np.searchsorted(split.test, labelled.image[test])
    if task.scope == "image":
        scores = np.zeros((len(test), n_classes), np.float32)
        rows = score_rows(scores, labelled.label[test], place)
    else:
        majority = int(np.bincount(labelled.label[train], minlength=n_classes).argmax())
        predicted = np.full(len(test), majority)
        rows = count_rows(
            one_of(predicted, labelled.label[test], place, len(split.test), n_classes)
        )
    return Answer(rows, head="constant", n_parameters=0, n_train=len(train))
