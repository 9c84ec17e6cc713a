"""Squares: images whose patches carry labels by their colour, for models with a known mechanism.

Each of `SQUARE_COLORS` stands for a kind of object. An image is a grid of 6 x 6 patches of 8 pixels
on mid-grey; an object fills 2 x 2 of them. The label of each patch can be read off its pixels
without any learning, which is what the planted models do (`retinoscope.pocket.planted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from PIL import Image

from ..arguments import nth, whole
from ..errors import InputError
from ._sample import Object, Question, Sample

SQUARE_COLORS: dict[str, tuple[int, int, int]] = {
    "apple": (255, 0, 0),
    "bird": (0, 0, 255),
    "boat": (255, 255, 255),
    "car": (255, 0, 255),
    "fish": (0, 255, 255),
    "house": (255, 255, 0),
    "star": (0, 0, 0),
    "tree": (0, 255, 0),
}
"""Kind of object -> its colour: the corners of the RGB cube, whose centre is mid-grey."""

SQUARE_GRID, SQUARE_PATCH, _SIDE = 6, 8, 2
"""Patches along an edge of the image, pixels along an edge of a patch, patches along an object."""
GREY = 128
WHAT = "What is in this image?"
_MOST = 3


@dataclass(frozen=True)
class Squares(Sequence[Sample]):
    """Images `start` to `start + n - 1` of `seed`; image k of a seed does not depend on n.

    Each has two or three objects of different kinds at uniformly drawn places, a caption that names
    them in alphabetical order, and the question "What is in this image?", which the first of these
    objects answers.
    """

    n: int
    seed: int = 0
    start: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a number out of range."""
        for name in ("n", "seed", "start"):
            whole(getattr(self, name), name, 0)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that objects can have."""
        return tuple(SQUARE_COLORS)

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Squares: ...

    def __getitem__(self, index: int | slice) -> Sample | Squares:
        if isinstance(index, slice):
            first, stop, step = index.indices(self.n)
            if step != 1:
                raise InputError(f"expected a slice with step 1, got {step}")
            return Squares(max(0, stop - first), self.seed, self.start + first)
        return _draw(self.seed, self.start + nth(index, self.n, "image"))


def squares(n: int, seed: int = 0) -> Squares:
    """`n` images for the planted models; see `Squares`.

    Raises:
        InputError: `n` below 1.
    """
    return Squares(whole(n, "a number of images of squares", 1), seed)


def _draw(seed: int, number: int) -> Sample:
    rng = np.random.default_rng([seed, number])
    names = tuple(SQUARE_COLORS)
    kinds = sorted(rng.choice(len(names), size=int(rng.integers(2, _MOST + 1)), replace=False))
    taken = np.zeros((SQUARE_GRID, SQUARE_GRID), bool)
    pixels = np.full((SQUARE_GRID * SQUARE_PATCH, SQUARE_GRID * SQUARE_PATCH, 3), GREY, np.uint8)
    objects = []
    for kind in kinds:
        row, column = _free_place(rng, taken)
        taken[row : row + _SIDE, column : column + _SIDE] = True
        mask = np.zeros(pixels.shape[:2], bool)
        x, y, side = column * SQUARE_PATCH, row * SQUARE_PATCH, _SIDE * SQUARE_PATCH
        mask[y : y + side, x : x + side] = True
        pixels[mask] = SQUARE_COLORS[names[kind]]
        objects.append(Object(names[kind], mask, (x, y, x + side, y + side)))
    return Sample(
        id=f"squares-{seed}-{number}",
        image=Image.fromarray(pixels),
        objects=tuple(objects),
        captions=(" ".join(obj.name for obj in objects),),
        questions=(Question(WHAT, objects[0].name, "kind", (0,)),),
    )


def _free_place(rng: np.random.Generator, taken: np.ndarray) -> tuple[int, int]:
    """Draws a free place: two blocks of 2 x 2 block at most 18 of the 25 places."""
    last = SQUARE_GRID - _SIDE + 1
    free = [
        (row, column)
        for row in range(last)
        for column in range(last)
        if not taken[row : row + _SIDE, column : column + _SIDE].any()
    ]
    return free[int(rng.integers(len(free)))]
