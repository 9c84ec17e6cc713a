"""What a probe answered, as rows: one an image and kind of count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from ...store import Value

COUNTS, SCORES = "counts", "scores"
"""What a row holds: counts of one answer a case, or scores of each class."""

Row = dict[str, Value]
Rows = Sequence[tuple[int, Row]]
"""Place of the image in the test split, and the row."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What one probe said of the test images.

    Attributes:
        rows: none where the answer is undefined.
        strength: of the penalty that was chosen (C, or the weight decay of the small head).
        val: the deciding measure on the validation split.
        said: (n,) class at each location of the test images, where the task is dense.
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
    """Images with something to answer; classes that are neither there nor said are left out."""
    rows: list[tuple[int, Row]] = []
    for image, own in enumerate(counts):
        classes = np.flatnonzero(own.any(1))
        if len(classes):
            right, said, there = own[classes].T
            rows.append(
                (
                    image,
                    {
                        "content": COUNTS,
                        "classes": classes.tolist(),
                        "right": right.tolist(),
                        "said": said.tolist(),
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
    """One image a case: the score of each class, and whether it is there."""
    return [
        (
            int(image),
            {
                "content": SCORES,
                "classes": list(range(len(own))),
                "scores": [float(value) for value in own],
                "there": [int(value) for value in real],
            },
        )
        for image, own, real in zip(place, scores, there, strict=True)
    ]


def ratio_rows(measure: str, pairs: Sequence[tuple[float, float]]) -> Rows:
    """A numerator and a denominator an image, those with nothing below left out."""
    return [
        (image, {"content": measure, "top": float(top), "bottom": float(bottom)})
        for image, (top, bottom) in enumerate(pairs)
        if bottom > 0
    ]
