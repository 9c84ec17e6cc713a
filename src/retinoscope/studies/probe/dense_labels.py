"""The truth of location tasks on one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from .dense import Dense, Relabel, majority
from .gather import Drawn, Plan
from .labels import UNKNOWN, control_labels
from .truth import Cells, Located, Truth


@dataclass(frozen=True, eq=False)
class DenseLabels:
    """The truth of one dense task on one grid.

    Attributes:
        classes: names of the labels, background first.
        boxes: location boxes, by image size.
    """

    classes: tuple[str, ...]
    relabel: Relabel
    truths: Mapping[int, Truth]
    located: Mapping[int, Located]
    plan: Plan
    boxes: Mapping[tuple[int, int], Float[np.ndarray, "n 4"]]

    def labels(self, image: int) -> Int[np.ndarray, " n"]:
        """The majority label of each location, `UNKNOWN` where no pixel is known."""
        labels = self._labels.get(image)
        if labels is None:
            on = self.located[image]
            labels = majority(self.relabel(image, on), on.n, len(self.classes))
            self._labels[image] = labels
        return labels

    @cached_property
    def _labels(self) -> dict[int, np.ndarray]:
        return {}

    def drawn(self, drawn: Drawn) -> Int[np.ndarray, " n"]:
        """Labels of the drawn training locations."""
        labels = np.empty(len(drawn.image), np.int64)
        for image in np.unique(drawn.image):
            rows = drawn.image == image
            labels[rows] = self.labels(int(image))[drawn.place[rows]]
        return labels

    def of_images(self, images: np.ndarray, relabel: Relabel | None = None) -> Dense:
        """The cells of these images, with other labels if `relabel` is given."""
        chosen = self.relabel if relabel is None else relabel
        return Dense.of(images.tolist(), self.located, chosen, len(self.classes))

    @cached_property
    def test(self) -> Dense:
        return self.of_images(self.plan.test)

    @cached_property
    def bound(self) -> dict[str, float]:
        """The best that a map with one answer per location can reach, by measure."""
        by_class = self.test.bound()
        if len(self.classes) == 2:
            return {"iou": float(by_class[1])}
        return {"miou": float(np.nanmean(by_class))}

    def controlled(self, seed: int) -> DenseLabels:
        """A copy with a random label for each kind of location: its class and coarse colour."""
        images = sorted(self.located)
        labels = [self.labels(image) for image in images]
        flat = np.concatenate(labels)
        hues = np.concatenate([self.located[image].hues for image in images])
        known = flat != UNKNOWN
        kinds = list(zip(flat[known].tolist(), hues[known].tolist(), strict=True))
        drawn = control_labels(kinds, flat[known], len(self.classes), seed)
        table = dict(zip(kinds, drawn.tolist(), strict=True))

        def relabel(image: int, on: Located) -> Cells:
            labels = self.labels(image)
            label = np.array(
                [table.get((int(a), int(b)), UNKNOWN) for a, b in zip(labels, on.hues, strict=True)]
            )
            return whole_cells(on, label)

        return DenseLabels(self.classes, relabel, self.truths, self.located, self.plan, self.boxes)


def whole_cells(on: Located, label: np.ndarray) -> Cells:
    """Cells in which each location has one label; `UNKNOWN` locations are left out."""
    placed = on.objects.place >= 0
    pixels = np.bincount(on.objects.place[placed], on.objects.count[placed], on.n)
    kept = np.flatnonzero((label != UNKNOWN) & (pixels > 0))
    return Cells(kept, label[kept], pixels[kept].astype(np.int64))
