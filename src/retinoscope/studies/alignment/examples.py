"""Examples for the report: where people looked, beside the models' maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...data import Sample
from ...gaze import pool
from ...saliency import HeatMap, ImageTextPair
from ...stats.maps import resample
from ...store import Json
from .._examples import example_of
from .._sets import plain_boxes
from .._study import Example
from .gaze_targets import GazeTarget

CELLS = 32
"""Number of cells along the longer side of the drawn density."""


@dataclass(frozen=True)
class _Locations:
    grid: tuple[int, int] | None
    boxes: list[list[float | None]]
    positions: Sequence[int] | None


def alignment_example(
    sample: Sample,
    aims: Sequence[GazeTarget],
    pair: ImageTextPair,
    maps: Mapping[tuple[str, int], HeatMap],
) -> list[Example]:
    """One example: the phrase with most fixations, or else the word, the sentence."""
    order = {"phrase": 0, "word": 1, "sentence": 2, "text": 3}
    scored = [aim for aim in aims if aim.seen and any(number == aim.number for _, number in maps)]
    if not scored:
        return []
    chosen = min(scored, key=lambda aim: (order[aim.segment.granularity], -aim.n_fixations))
    gaze = pool(chosen.seen)
    density = gaze.density()
    assert density is not None
    scale = max(density.shape) / CELLS
    shape = tuple(max(1, round(side / scale)) for side in density.shape)
    cells = resample(density, (shape[0], shape[1]), "area")
    maps_of_chosen = {
        name: heat for (name, number), heat in maps.items() if number == chosen.number
    }
    drawn: dict[str, Json] = {name: _shares(heat.values) for name, heat in maps_of_chosen.items()}
    facts: dict[str, Json] = {
        "description": chosen.segment.description,
        "segment": chosen.segment.text,
        "provenance": chosen.provenance,
        "observers": len(chosen.observers),
        "fixations": [[round(x, 2), round(y, 2)] for x, y in gaze.fixations.tolist()],
        "density": [[round(float(x), 4) for x in row] for row in cells / cells.max()],
        "maps": drawn,
    }
    first = next(iter(maps_of_chosen.values()))
    places = _Locations(pair.grid, plain_boxes(first.boxes), first.positions)
    return [example_of(sample, places, {}, facts)]


def _shares(values: np.ndarray) -> list[Json]:
    """Positive parts as shares of the largest value, rounded."""
    top = float(np.max(values))
    return [round(max(float(value), 0.0) / top, 4) if top > 0 else 0.0 for value in values]
