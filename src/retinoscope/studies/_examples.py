"""Pictures of single samples for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..data import Sample
from ..store import Json
from ._sets import Indices
from ._study import Example


class Places(Protocol):
    """The locations of a model: `ImageTokens` of a VLM, or others.

    Attributes:
        grid: rows and columns, or None.
        boxes: four pixel coordinates each, or four None if unplaced.
        positions: positions of the locations in the decoder's sequence; None without a decoder.
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
    """Returns a picture and `facts`, with the picture's size, the token grid and token sets added.

    The added keys: "sample", "size" (width, height in pixels), "grid" (rows, columns, or None),
    "boxes" (four pixel coordinates or four None per visual token), "positions" (one per visual
    token, or None), "sets" (name to indices among the visual tokens).
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
