"""One image on one grid of locations: the pixels of each class and instance at each location."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from ...data import IGNORE, Sample, label_map
from ...encoders import Features
from ...errors import InputError
from ...grouping import class_cells, counts_of, instance_cells
from ...stats import class_counts
from ...tokens import spread, token_map

Upsample = Literal["nearest", "bilinear"]
Counts = Int[np.ndarray, "label 3"]


@dataclass(frozen=True, eq=False)
class View:
    """The truth about an image, on the model's placed locations.

    Attributes:
        image: the image.
        labels: (H, W) from `retinoscope.data.label_map`.
        masks: masks of the instances.
        placed: which of the model's locations have a place in the image.
        boxes: (n, 4) boxes of these, in pixels of the image.
        grid: rows and columns; None if they form no single grid.
        classes: names, without the background.
    """

    image: Image.Image
    labels: Int[np.ndarray, "height width"]
    masks: tuple[Bool[np.ndarray, "height width"], ...]
    placed: Bool[np.ndarray, " token"]
    boxes: Float[np.ndarray, "location 4"]
    grid: tuple[int, int] | None
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        sample: Sample,
        classes: Sequence[str],
        boxes: Float[np.ndarray, "token 4"],
        grid: tuple[int, int] | None,
    ) -> View:
        """Raises `InputError` as `label_map` does, and if no location has a place."""
        placed = ~np.isnan(boxes[:, 0])
        if not placed.any():
            raise InputError("expected locations with a place in the image, got none")
        whole = grid is not None and grid[0] * grid[1] == placed.sum()
        return cls(
            sample.image,
            label_map(sample, classes),
            tuple(obj.mask for obj in sample.objects),
            placed,
            boxes[placed],
            grid if whole else None,
            tuple(classes),
        )

    @classmethod
    def on(cls, sample: Sample, classes: Sequence[str], features: Features) -> View:
        """Returns the view at the locations of some features."""
        return cls.of(sample, classes, features.boxes, features.grid)

    @property
    def n(self) -> int:
        return len(self.boxes)

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    def name(self, label: int) -> str:
        """Returns the name of a label, "" for the background."""
        return self.classes[label - 1] if label else ""

    @cached_property
    def foreground(self) -> Int[np.ndarray, "location label"]:
        """`cells` without the pixels of the background."""
        return self.cells * (np.arange(self.n_classes + 1) > 0)

    @cached_property
    def tokens(self) -> Int[np.ndarray, "height width"]:
        return token_map(self.boxes, self.image.size)

    @cached_property
    def cells(self) -> Int[np.ndarray, "location label"]:
        """Pixels of the background (0) and of each class."""
        return class_cells(self.labels, self.tokens, self.n, self.n_classes + 1)

    @cached_property
    def instances(self) -> Int[np.ndarray, "instance location"]:
        return instance_cells(self.masks, self.tokens, self.n, self.labels != IGNORE)

    @cached_property
    def whole(self) -> Int[np.ndarray, " location"]:
        """Number of pixels with a known label at each location."""
        return self.cells.sum(1)

    @cached_property
    def present(self) -> tuple[int, ...]:
        """Classes with a pixel at some location, as indices in the list."""
        return tuple(np.flatnonzero(self.cells[:, 1:].sum(0)).tolist())

    @property
    def seen(self) -> float:
        """Share of the pixels with a known label that are at a location."""
        known = int((self.labels != IGNORE).sum())
        return float(self.whole.sum() / known) if known else float("nan")

    def counts(
        self,
        scores: Float[np.ndarray, "label location"],
        places: Sequence[int],
        background: int,
        upsample: Upsample,
    ) -> Counts:
        """Counts pixels by the label with the largest score, as `retinoscope.stats.class_counts`.

        Args:
            scores: one row per entry of `places`, after those of the background.
            places: the competing classes, as indices in the list.
            background: number of leading rows of `scores` that are the background's. With none, its
                pixels do not count, as those without a label, and row 0 is all 0.
            upsample: how locations become pixels.
        """
        labels = np.array([0] * background + [1 + place for place in places])
        cells = self.cells if background else self.foreground
        if upsample == "nearest":
            return counts_of(cells, labels[scores.argmax(0)])
        maps = spread(scores, self.boxes, self.image.size, self.grid, "bilinear")
        seen = self.tokens >= 0
        truth = np.where(seen, self.labels, IGNORE)
        if not background:
            truth = np.where(truth == 0, IGNORE, truth)
        predicted = labels[np.where(seen, maps, 0.0).argmax(0)]
        return class_counts(truth, predicted, self.n_classes + 1)
