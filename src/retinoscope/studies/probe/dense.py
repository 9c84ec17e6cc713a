"""Answers per location, scored in pixels: each answer counts for all pixels of its location."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import InputError
from ...stats import cell_bound
from .labels import UNKNOWN
from .tally import tally
from .truth import Cells, Located, Truth

BAND = 0.02
"""Width of the band inside a contour, in image diagonals (Cheng et al. 2021, arXiv 2103.16562)."""

Relabel = Callable[[int, Located], Cells]
"""Gives an image's cells the labels of one task."""


def semantic_cells(truths: Mapping[int, Truth], classes: Mapping[str, int]) -> Relabel:
    """0 is background; pixels of objects whose name is left out are unknown."""

    def cells(image: int, located: Located) -> Cells:
        names = [item.name for item in truths[image].items]
        labels = [0, *(classes.get(name, -2) + 1 for name in names)]
        return located.objects.relabelled(np.array(labels))

    return cells


def part_cells(truths: Mapping[int, Truth], classes: Mapping[str, int]) -> Relabel:
    """Like `semantic_cells`, for parts."""

    def cells(image: int, located: Located) -> Cells:
        labels = [0, *(classes.get(name, -2) + 1 for name in part_names(truths[image]))]
        return located.parts.relabelled(np.array(labels))

    return cells


def foreground_cells(image: int, located: Located) -> Cells:
    """1 on any object, 0 on the background."""
    cells = located.objects
    return Cells(cells.place, (cells.label > 0).astype(np.int64), cells.count)


def part_names(truth: Truth) -> list[str]:
    """Object and part as one name, in the order of the image's parts."""
    return [f"{truth.items[number].name} {name}" for number, name in truth.parts]


def part_counts(truths: Mapping[int, Truth]) -> dict[int, Counter[str]]:
    """Image -> how often it has each part."""
    return {image: Counter(part_names(truth)) for image, truth in truths.items()}


def majority(cells: Cells, n: int, n_classes: int) -> Int[np.ndarray, " n"]:
    """The label with most pixels in each of n locations (ties: the first), or `UNKNOWN`."""
    table = tally((n + 1, n_classes), cells.place, cells.label, count=cells.count)[:n]
    return np.where(table.any(1), table.argmax(1), UNKNOWN)


@dataclass(frozen=True, eq=False)
class Dense:
    """The cells of several images, concatenated.

    Attributes:
        n_locations: over all images; predictions have this length.
        image: (row,) index of the image in the list.
        place: (row,) index among all locations, -1 for none.
    """

    n_images: int
    n_locations: int
    n_classes: int
    image: Int[np.ndarray, " row"]
    place: Int[np.ndarray, " row"]
    label: Int[np.ndarray, " row"]
    count: Int[np.ndarray, " row"]

    @classmethod
    def of(
        cls,
        images: Sequence[int],
        located: Mapping[int, Located],
        relabel: Relabel,
        n_classes: int,
    ) -> Dense:
        """The images' cells under one task's labels."""
        rows: list[tuple[np.ndarray, ...]] = []
        start = 0
        for number, image in enumerate(images):
            cells = relabel(image, located[image])
            place = np.where(cells.place >= 0, cells.place + start, -1)
            rows.append((np.full(len(place), number), place, cells.label, cells.count))
            start += located[image].n
        joined = [np.concatenate(column) for column in zip(*rows, strict=True)]
        return cls(len(images), start, n_classes, *joined)

    def counts(self, predicted: Int[np.ndarray, " location"]) -> Int[np.ndarray, "image label 3"]:
        """Pixels that are right, predicted and there, like `retinoscope.stats.class_counts`.

        Pixels in no location count as predicted background.
        """
        answer = np.where(self.place >= 0, predicted[np.maximum(self.place, 0)], 0)
        shape = (self.n_images, self.n_classes)
        right = answer == self.label
        counts = (
            tally(shape, self.image, self.label, count=self.count * right),
            tally(shape, self.image, answer, count=self.count),
            tally(shape, self.image, self.label, count=self.count),
        )
        return np.stack(counts, -1)

    def table(self) -> Int[np.ndarray, "location label"]:
        """Pixels of each label in each location; the last row holds pixels in no location."""
        shape = (self.n_locations + 1, self.n_classes)
        return tally(shape, self.place, self.label, count=self.count)

    def bound(self) -> Float[np.ndarray, " label"]:
        """The largest IoU each class can reach with one answer per location; NaN if it is absent.

        As in `counts`, pixels in no location are predicted background.
        """
        table = self.table()
        return cell_bound(table[:-1], table[-1], missed_as=0)


def band_of(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """The pixels of a mask within `BAND` of its contour, of which the image's edge is part."""
    from scipy.ndimage import binary_erosion

    height, width = mask.shape
    steps = max(1, round(BAND * float(np.hypot(height, width))))
    if not mask.any():
        return mask.copy()
    inner = np.asarray(binary_erosion(mask, np.ones((3, 3)), iterations=steps), bool)
    return mask & ~inner


def boundary_overlap(
    truth: Bool[np.ndarray, "height width"],
    predicted: Bool[np.ndarray, "height width"],
    known: Bool[np.ndarray, "height width"],
) -> tuple[int, int]:
    """Pixels in both bands and in either one, without unknown pixels.

    Cheng et al. 2021 (arXiv 2103.16562), section 4.

    Raises:
        InputError: masks of different sizes.
    """
    if not truth.shape == predicted.shape == known.shape:
        raise InputError(
            f"expected masks of one size, got {truth.shape}, {predicted.shape} and {known.shape}"
        )
    true_band, predicted_band = band_of(truth) & known, band_of(predicted) & known
    return int((true_band & predicted_band).sum()), int((true_band | predicted_band).sum())
