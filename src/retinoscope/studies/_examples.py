"""What the report shows of one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..data import Sample
from ..store import Json
from ._sets import Indices
from ._study import Example


class Places(Protocol):
    """Where a model's locations lie: `ImageTokens` of a VLM, or others.

    Attributes:
        grid: rows and columns, or None.
        boxes: of four pixels each, or of four None where unplaced.
        positions: of the locations in the decoder's sequence; None where there is no decoder.
    """

    @property
    def grid(self) -> tuple[int, int] | None: ...
    @property
    def boxes(self) -> Sequence[Sequence[float | None]]: ...
    @property
    def positions(self) -> Sequence[int] | None: ...


def example_of(
    sample: Sample, image: Places, sets: Mapping[str, Indices], facts: Mapping[str, Json]
) -> Example:
    """`facts` with the picture's size, the token grid and the token sets that are shown.

    The keys added: "sample", "size" (width, height in pixels), "grid" (rows, columns, or None),
    "boxes" (one of four pixels or four None per visual token), "positions" (one per visual token,
    or None), "sets" (name to indices among the visual tokens).
    """
    grid = image.grid
    return Example(
        {
            "sample": sample.id,
            "size": list(sample.image.size),
            "grid": None if grid is None else list(grid),
            "boxes": [list(box) for box in image.boxes],
            "positions": None if image.positions is None else list(image.positions),
            "sets": {name: list(tokens) for name, tokens in sets.items()},
            **facts,
        },
        sample.image,
    )
