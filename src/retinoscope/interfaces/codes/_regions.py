"""Parts of an image as sets of its tokens: from a box to codes, and from codes to a box.

Source: Ma et al. 2025, "ClawMachine: Learning to Fetch Visual Tokens for Referential Comprehension"
(arXiv 2406.11327): an entity is written as the codes of the tokens that lie in it. How codes become
a box is not in the release; the rule here is our own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import label

from ...errors import InputError

COVERED = 0.25
"""A patch belongs to a region that covers at least this share of it."""
_PER_PATCH = 0.01
_EIGHT = np.ones((3, 3), dtype=int)
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class CodedImage:
    """The tokens of one image, in reading order.

    Attributes:
        codes: number of each in the codebook.
        home: the patch that each stands for.
        grid: patches along each side.
        patch: side of a patch in pixels.
    """

    codes: Int[np.ndarray, " token"]
    home: Int[np.ndarray, " token"]
    grid: int
    patch: int

    @property
    def size(self) -> int:
        """Side of the image in pixels."""
        return self.grid * self.patch

    def tokens_in(self, box: Box) -> Int[np.ndarray, " chosen"]:
        """Indices of the tokens whose patches a box covers by at least a quarter, in reading order.

        If there are none, the token whose patch lies nearest to the middle of the box.

        Args:
            box: x0 y0 x1 y1 in pixels of the image as the tower sees it.

        Raises:
            InputError: a box without a pixel, or outside the image.
        """
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= self.size and 0 <= y0 < y1 <= self.size):
            raise InputError(
                f"expected a box x0 y0 x1 y1 in an image of {self.size} x {self.size} pixels, got "
                f"{' '.join(f'{edge:g}' for edge in box)}: correct it"
            )
        rows, columns = np.divmod(self.home, self.grid)
        across = _overlap(columns * self.patch, self.patch, x0, x1)
        down = _overlap(rows * self.patch, self.patch, y0, y1)
        inside = across * down >= COVERED * self.patch**2
        if inside.any():
            return np.flatnonzero(inside)
        middle = np.array([(y0 + y1) / 2, (x0 + x1) / 2])
        centers = (np.stack([rows, columns], 1) + 0.5) * self.patch
        return np.array([np.square(centers - middle).sum(1).argmin()])


def _overlap(starts: np.ndarray, length: int, first: float, last: float) -> np.ndarray:
    return np.clip(np.minimum(starts + length, last) - np.maximum(starts, first), 0, None)


@dataclass(frozen=True, eq=False)
class Region:
    """Where a sequence of codes may lie in an image.

    Attributes:
        tokens: indices of the tokens of the best component.
        box: that they span: x0 y0 x1 y1 in pixels.
        tightened: the same, half a patch narrower on each side on which fewer than half of the
            border's patches belong to it.
        naive: the box of all tokens with one of the codes.
    """

    tokens: Int[np.ndarray, " chosen"]
    box: Box
    tightened: Box
    naive: Box


def find_region(image: CodedImage, codes: Sequence[int]) -> Region:
    """The tokens of an image that a sequence of codes most probably means.

    Tokens with one of the codes are grouped by touching patches (also at corners). The group counts
    most that shares most codes with the sequence, each as often as in both, less a hundredth per
    token: of equal ones the smaller.

    Raises:
        InputError: no codes, or none that the image has.
    """
    if not len(codes):
        raise InputError("expected at least one code, got none: nothing was named")
    wanted = Counter(codes)
    candidates = np.isin(image.codes, list(wanted))
    if not candidates.any():
        raise InputError(
            f"expected codes that the image has, got none of its {len({*image.codes.tolist()})}: "
            "they belong to another image"
        )
    marked = np.zeros(image.grid**2, dtype=bool)
    marked[image.home[candidates]] = True
    found: Any = label(marked.reshape(image.grid, image.grid), _EIGHT)
    groups, n = found
    group = groups.reshape(-1)[image.home] * candidates
    scores = []
    for number in range(1, n + 1):
        own = Counter(image.codes[group == number].tolist())
        scores.append((wanted & own).total() - _PER_PATCH * own.total())
    best = group == 1 + int(np.argmax(scores))
    return Region(
        tokens=np.flatnonzero(best),
        box=_box(image, best),
        tightened=_tightened(image, best),
        naive=_box(image, candidates),
    )


def _edges(image: CodedImage, chosen: Bool[np.ndarray, " token"]) -> tuple[int, int, int, int]:
    rows, columns = np.divmod(image.home[chosen], image.grid)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def _box(image: CodedImage, chosen: Bool[np.ndarray, " token"]) -> Box:
    x0, y0, x1, y1 = (float(edge * image.patch) for edge in _edges(image, chosen))
    return x0, y0, x1, y1


def _tightened(image: CodedImage, chosen: Bool[np.ndarray, " token"]) -> Box:
    x0, y0, x1, y1 = _edges(image, chosen)
    marked = np.zeros(image.grid**2, dtype=bool)
    marked[image.home[chosen]] = True
    part = marked.reshape(image.grid, image.grid)[y0:y1, x0:x1]
    half = image.patch / 2
    left, right, top, bottom = (
        half * float(line.mean() < 0.5) for line in (part[:, 0], part[:, -1], part[0], part[-1])
    )
    whole = _box(image, chosen)
    tight = (whole[0] + left, whole[1] + top, whole[2] - right, whole[3] - bottom)
    # A single row or column may lose both halves.
    return tight if tight[0] < tight[2] and tight[1] < tight[3] else whole


def heat_of(
    image: CodedImage, probs: Float[np.ndarray, "step code"]
) -> Float[np.ndarray, " token"]:
    """How much of an answer each token of an image could be: the sum of its code's probabilities.

    Args:
        probs: of each code at each step of the answer.
    """
    return probs.sum(0)[image.codes]


def overlap_of(first: Box, second: Box) -> float:
    """Intersection over union of two boxes."""
    both = _length(first[0], first[2], second[0], second[2]) * _length(
        first[1], first[3], second[1], second[3]
    )
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return both / (sum(areas) - both)


def _length(a0: float, a1: float, b0: float, b1: float) -> float:
    return max(0.0, min(a1, b1) - max(a0, b0))
