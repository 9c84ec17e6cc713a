"""The answers of a probe as rows: one per image and kind of content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from ...store import Value

COUNTS, SCORES = "counts", "scores"
"""Content of a row: counts of right, predicted and true cases, or scores of each class."""

Row = dict[str, Value]
Rows = Sequence[tuple[int, Row]]
"""(Index of the image in the test split, row)."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A probe's answers on the test images.

    Attributes:
        rows: empty where the answer is undefined.
        strength: of the selected penalty (C, or the weight decay of the small head).
        val: the selection measure on the validation split.
        said: (n,) class at each location of the test images, for dense tasks.
    """

    rows: Rows
    head: str
    n_parameters: int
    n_train: int
    strength: float | None = None
    val: float | None = None
    converged: bool | None = None
    bounds: Mapping[str, float | None] = field(default_factory=dict)
    said: Int[np.ndarray, " n"] | None = None


def count_rows(counts: Int[np.ndarray, "image label 3"]) -> Rows:
    """Rows of the images that have cases; classes neither there nor predicted are left out."""
    rows: list[tuple[int, Row]] = []
    for image, counts_of_image in enumerate(counts):
        classes = np.flatnonzero(counts_of_image.any(1))
        if len(classes):
            right, predicted, there = counts_of_image[classes].T
            rows.append(
                (
                    image,
                    {
                        "content": COUNTS,
                        "classes": classes.tolist(),
                        "right": right.tolist(),
                        "said": predicted.tolist(),
                        "there": there.tolist(),
                    },
                )
            )
    return rows


def score_rows(
    scores: Float[np.ndarray, "n label"],
    there: Bool[np.ndarray, "n label"],
    place: Int[np.ndarray, " n"],
) -> Rows:
    """One image per case: the score of each class, and whether it is there."""
    return [
        (
            int(image),
            {
                "content": SCORES,
                "classes": list(range(len(of_classes))),
                "scores": [float(value) for value in of_classes],
                "there": [int(value) for value in present],
            },
        )
        for image, of_classes, present in zip(place, scores, there, strict=True)
    ]


def ratio_rows(measure: str, pairs: Sequence[tuple[float, float]]) -> Rows:
    """A numerator and a denominator per image, without images whose denominator is 0."""
    return [
        (image, {"content": measure, "top": float(top), "bottom": float(bottom)})
        for image, (top, bottom) in enumerate(pairs)
        if bottom > 0
    ]
