"""The rows of one model about one image, and the features behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...answers.scoring import refuse_nan
from ...data import Sample
from ...grouping import Grouping as Kind
from ...saliency import Exact, Method
from .._executor import Rows
from .._study import seed_of
from .bottom_up import group_rows, null_rows
from .subjects import JOINT, TRAINED, Subject
from .top_down import (
    QUESTION,
    attribution_rows,
    bound_rows,
    classification_row,
    lens_rows,
    text_present_rows,
    text_rows,
)
from .view import Upsample, View

if TYPE_CHECKING:
    from ...encoders import Features


@dataclass(frozen=True)
class GroupingTask:
    """The task given to every model and image; see `Grouping`."""

    classes: tuple[str, ...]
    methods: tuple[Method, ...]
    groupings: Sequence[Kind]
    n_groups: int
    upsample: Upsample
    exact: Exact
    seed: int


def subject_rows(
    asked: GroupingTask,
    subject: Subject,
    sample: Sample,
    attributed: bool,
    limits: dict[bytes, Rows],
) -> tuple[Rows, dict[str, Features]]:
    """Returns all rows of one model about one image, and the features from which they were made.

    Args:
        asked: the task.
        subject: the model.
        sample: the image.
        attributed: whether attribution methods are applied to the image too.
        limits: bounds and nulls by the locations for which they hold; filled where missing.
    """
    rows: Rows = []
    features = _features(subject, sample)
    if not features:
        return rows, features
    seed = seed_of(asked.seed, sample.id)
    views = {name: View.on(sample, asked.classes, f) for name, f in features.items()}
    first = next(iter(views.values()))
    if subject.weights == TRAINED:
        where = first.boxes.tobytes()
        if where not in limits:
            limits[where] = bound_rows(first) + null_rows(first, asked.n_groups, seed)
        rows += limits[where]
    for name in subject.layers:
        values = features[name][name][views[name].placed]
        rows += group_rows(views[name], name, values, asked.groupings, asked.n_groups, seed)
    if subject.two is not None:
        view = views[JOINT]
        joint = features[JOINT][JOINT][view.placed]
        rows += text_rows(subject, view, joint, asked.seed, asked.upsample)
        rows += text_present_rows(subject, view, joint, asked.upsample) if attributed else []
        row = classification_row(subject, subject.two.image(sample.image), view)
        rows += [] if row is None else [row]
    if subject.vlm is not None:
        rows += _vlm_rows(asked, subject, sample, attributed)
    return rows, features


def _features(subject: Subject, sample: Sample) -> dict[str, Features]:
    """Returns features by layer; those in the space of texts are under "joint"."""
    features: dict[str, Features] = {}
    inner = [layer for layer in subject.layers if layer != JOINT]
    if inner:
        whole = subject.encoder.features(sample.image, inner)
        features.update(dict.fromkeys(inner, whole))
    if subject.two is not None:
        features[JOINT] = subject.two.locations(sample.image)
    return features


def _vlm_rows(asked: GroupingTask, subject: Subject, sample: Sample, attributed: bool) -> Rows:
    vlm = subject.vlm
    assert vlm is not None
    run = vlm.run(vlm.prompt(sample.image, QUESTION))
    refuse_nan(run.logits)
    view = View.of(sample, asked.classes, np.asarray(run.image.boxes), run.image.grid)
    rows = lens_rows(subject, view, run, asked.seed, asked.upsample, attributed)
    if attributed and subject.weights == TRAINED:
        allowed = [method for method in asked.methods if method.refusal(vlm) is None]
        rows += attribution_rows(
            subject, view, run, allowed, asked.seed, asked.upsample, asked.exact
        )
    return rows
