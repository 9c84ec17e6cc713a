"""Earth mover's distance: the cost of moving the mass of one map to become the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...arguments import checked
from ...errors import InputError, MissingExtraError
from ._check import Map, Negatives, ReferenceMap, density, pair
from ._resample import Resize, resample
from ._types import MapScore, undefined


@checked
def emd(
    predicted: Map,
    reference: ReferenceMap,
    *,
    grid: int = 16,
    negatives: Negatives = "refuse",
    resize: Resize | None = None,
) -> MapScore:
    """Earth mover's distance of two densities, in diagonals of the image; 0 for equal maps.

    Both are averaged onto a grid of nearly square cells, `grid` of them along the longer side; the
    ground distance is Euclidean, between the centres of cells. Solved exactly by a network simplex.

    Args:
        grid: cells along the longer side, 2 to 64; also the distance's resolution.

    Raises:
        InputError: see `similarity`, or a grid outside 2 to 64.
        MissingExtraError: without the package POT.

    Source: Rubner et al. 2000 (IJCV 40:99); Pele and Werman 2008; Bylinskii et al. 2019,
    section 3.2.6.
    """
    if not 2 <= grid <= 64:
        raise InputError(f"expected a grid of 2 to 64 cells along the longer side, got {grid}")
    try:
        import ot
    except ModuleNotFoundError as error:
        raise MissingExtraError("pot", "attribution") from error
    first, second, settings = pair(predicted, reference, resize)
    height, width = first.shape
    cell = max(height, width) / grid
    shape = max(1, round(height / cell)), max(1, round(width / cell))
    settings |= {"grid": f"{shape[1]}x{shape[0]}", "distance": "Euclidean, in image diagonals"}
    s = density(first, "the map", negatives, settings)
    h = density(second, "the reference map", "refuse", settings)
    if s is None or h is None:
        reason = "the map adds up to 0" if s is None else "the reference map adds up to 0"
        return undefined("emd", reason, math.prod(shape), settings)
    a, b = (_cells(values, shape) for values in (s, h))
    y, x = np.indices(shape)
    centres = np.stack([(y + 0.5) * height / shape[0], (x + 0.5) * width / shape[1]], -1)
    centres = centres.reshape(-1, 2) / math.hypot(height, width)
    distances = np.sqrt(((centres[:, None] - centres[None]) ** 2).sum(-1))
    value: Any = ot.emd2(a, b, distances, numItermax=10_000_000)
    return MapScore("emd", float(value), len(a), settings)


def _cells(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    cells = resample(values, shape, "area").ravel()
    return cells / cells.sum()
