"""Maps of categories on the tokens that the page shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..studies import Categories
from ._documents import CategoryMap, FrameFacts, Unplaced, Visual


def category_maps(maps: Sequence[Categories], visual: Visual | None) -> list[CategoryMap]:
    """The maps token by token.

    A map of other locations than the page's tokens (another encoder's) gives each token the class
    of the location whose centre is nearest to its own.
    """
    if visual is None:
        return []
    return [
        CategoryMap(one.name, one.note, one.classes, one.layers, _on(one, visual.boxes))
        for one in maps
    ]


def _on(one: Categories, boxes: np.ndarray) -> np.ndarray:
    own = np.asarray(one.boxes, np.float64)
    if own.shape == boxes.shape and np.allclose(own, boxes, atol=0.01, equal_nan=True):
        return one.values.astype(np.int32)
    placed = np.flatnonzero(np.isfinite(own).all(1))
    found = np.full((len(one.layers), len(boxes)), -1, np.int32)
    if not len(placed):
        return found
    theirs = (own[placed, :2] + own[placed, 2:]) / 2
    for token, box in enumerate(boxes):
        if np.isfinite(box).all():
            far = ((theirs - (box[:2] + box[2:]) / 2) ** 2).sum(1)
            found[:, token] = one.values[:, placed[int(far.argmin())]]
    return found


def visual_of_categories(maps: Sequence[Categories]) -> Visual | None:
    """The locations of the first map in place of visual tokens, where no model was opened."""
    return visual_of_boxes(maps[0].boxes.tolist(), maps[0].grid) if maps else None


def visual_of_boxes(
    boxes: Sequence[object], grid: object, positions: Sequence[int] | None = None
) -> Visual:
    """Boxes that a study kept, None or NaN where a token has no place.

    Args:
        positions: in the decoder's sequence, where the study kept them.
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
