"""Category maps (probes, groups) on the page's visual tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..studies import Categories
from ._documents import CategoryMap, FrameFacts, Unplaced, Visual


def category_maps(maps: Sequence[Categories], visual: Visual | None) -> list[CategoryMap]:
    """Maps each location's class to the page's visual tokens.

    Where the locations of a map differ from the page's tokens (another encoder's), each token gets
    the class of the location whose centre is nearest to its own.
    """
    if visual is None:
        return []
    return [
        CategoryMap(m.name, m.note, m.classes, m.layers, _at_tokens(m, visual.boxes)) for m in maps
    ]


def _at_tokens(categories: Categories, boxes: np.ndarray) -> np.ndarray:
    locations = np.asarray(categories.boxes, np.float64)
    if locations.shape == boxes.shape and np.allclose(locations, boxes, atol=0.01, equal_nan=True):
        return categories.values.astype(np.int32)
    placed = np.flatnonzero(np.isfinite(locations).all(1))
    at_tokens = np.full((len(categories.layers), len(boxes)), -1, np.int32)
    if not len(placed):
        return at_tokens
    centres = (locations[placed, :2] + locations[placed, 2:]) / 2
    for token, box in enumerate(boxes):
        if np.isfinite(box).all():
            distances = ((centres - (box[:2] + box[2:]) / 2) ** 2).sum(1)
            at_tokens[:, token] = categories.values[:, placed[int(distances.argmin())]]
    return at_tokens


def visual_of_categories(maps: Sequence[Categories]) -> Visual | None:
    """Returns the locations of the first map as visual tokens, for use without a model."""
    return visual_of_boxes(maps[0].boxes.tolist(), maps[0].grid) if maps else None


def visual_of_boxes(
    boxes: Sequence[object], grid: object, positions: Sequence[int] | None = None
) -> Visual:
    """Returns a study's stored boxes as visual tokens; None or NaN marks one without a location.

    Args:
        positions: positions in the decoder's sequence, if the study stored them.
    """
    values = np.array(
        [
            [np.nan if x is None else float(x) for x in box]
            if isinstance(box, list) and len(box) == 4
            else [np.nan] * 4
            for box in boxes
        ],
        dtype=np.float32,
    ).reshape(-1, 4)
    n = len(values)
    sides = (
        [int(side) for side in grid] if isinstance(grid, list | tuple) and len(grid) == 2 else None
    )
    whole = sides is not None and sides[0] * sides[1] == n
    columns = sides[1] if whole and sides is not None else 1
    return Visual(
        n=n,
        positions=[-1] * n if positions is None else list(positions),
        boxes=values,
        rows=[i // columns if whole else -1 for i in range(n)],
        cols=[i % columns if whole else -1 for i in range(n)],
        grid=sides if whole else None,
        frames=[FrameFacts("image", 0, n, sides if whole else None)],
        unplaced=[
            Unplaced(i, f"index {i}: no box") for i in range(n) if bool(np.isnan(values[i, 0]))
        ],
    )
