"""Compares ways of aggregating locations into one vector per image, over training seeds.

Ranasinghe et al. 2022 (arXiv 2210.09996), tables 4 to 7: class token, average, and channel-wise
maximum; initialisation; token sub-sampling. The paper's numbers are given for orientation; they are
those of another model on other data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from ...arguments import checked
from ...encoders import small_names
from ...encoders.comparison import OBJECTIVES
from ...errors import InputError
from ...stats import class_iou, resampled_mean_iou, resampled_ratio
from .._training_runs import Draws, TrainingRuns, compared
from ..summary import Record, c
from .bottom_up import BOTTOM_UP
from .estimates import label_counts
from .subjects import JOINT
from .top_down import ALL, CLASSIFICATION, TOP_DOWN, WITHOUT

REFERENCE: Mapping[str, str] = {
    "contrastive-average": "contrastive-class",
    "contrastive-max": "contrastive-class",
    "contrastive-average-self": "contrastive-class-self",
    "contrastive-max-self": "contrastive-class-self",
    "contrastive-max-self-drop": "contrastive-max-self",
    "grounded-max": "grounded-class",
}
"""Objective -> the one with which it is compared: the class token with the same start, or, for
sub-sampling, the same without it."""
ACCURACY, LABELS, GROUPS, COMPONENTS = (
    "accuracy",
    "mean IoU of labels from text",
    "overlap of groups by k-means",
    "overlap of groups by principal components",
)
_OF_GROUPS = (c("kind") == BOTTOM_UP) & (c("layer") == JOINT)
MEASURES: Mapping[str, pl.Expr] = {
    ACCURACY: c("kind") == CLASSIFICATION,
    LABELS: (c("kind") == TOP_DOWN)
    & (c("method") == "text")
    & ~c("is_control")
    & (c("background") == WITHOUT)
    & (c("candidates") == ALL),
    GROUPS: _OF_GROUPS & (c("method") == "kmeans"),
    COMPONENTS: _OF_GROUPS & (c("method") == "pc"),
}
"""Measure -> the rows from which it is computed."""
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
"""ImageNet accuracy, Pascal VOC mean IoU and Jaccard index of the paper's models trained on CC-12M:
aggregation from a self-supervised start, and the maximum from random weights."""


@checked
def aggregation_specs(folder: str) -> tuple[str, ...]:
    """All seeds of the contrastive encoders in a folder of `retinoscope train encoders`.

    Raises:
        InputError: the folder does not exist, or has no contrastive encoder.
    """
    contrastive = [
        name
        for name, objective in OBJECTIVES.items()
        if objective.kind == "contrastive" and not objective.grounded
    ]
    specs = small_names(folder, contrastive)
    if not specs:
        raise InputError(
            f"{folder}: expected contrastive encoders, got none: train them with `retinoscope "
            "train encoders`"
        )
    return specs


def aggregation(rows: pl.DataFrame) -> Iterator[Record]:
    """A record for each objective and measure, from the training runs' rows of one kind."""
    runs = {
        (objective, measure): TrainingRuns.of(
            of_objective, lambda of_seed, measure=measure: _measured(of_seed, measure)
        )
        for measure, chosen in MEASURES.items()
        for (objective,), of_objective in rows.filter(chosen)
        .partition_by("objective", maintain_order=True, as_dict=True)
        .items()
    }
    for record in compared(runs, ("objective", "measure"), REFERENCE.get):
        paper = PAPER.get((str(record["objective"]), str(record["measure"])))
        yield record | {"paper": paper}


def _measured(rows: pl.DataFrame, measure: str) -> tuple[float, Draws]:
    images = rows["sample"].to_numpy()
    if measure == LABELS:
        (counts,) = label_counts(rows)
        return float(np.nanmean(class_iou(counts.sum(0)))), resampled_mean_iou(counts, images)
    ratio = ("correct", pl.lit(1.0)) if measure == ACCURACY else ("best", c("n"))
    top, n = rows.select(top=c(ratio[0]).cast(float), n=ratio[1].cast(float)).to_numpy().T
    return float(top.sum() / n.sum()), resampled_ratio(top, n, images)
