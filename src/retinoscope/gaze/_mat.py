"""Fixations in MATLAB files, as distributed with SALICON and the MIT and CAT2000 collections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..errors import InputError
from ._mat_file import Value, read_mat_file

Observed = list[tuple[int | None, Float[np.ndarray, "fixation xy"]]]
MOST_POINTS = 1_000_000
"""Per image; a minute of thirty observers at 500 Hz has 900,000."""
_FIELD = "fixations"
_FARTHEST = 1e9
_LISTS = ("fixations", "fixLocs", "fixlocs", "eyedata", "data")


def read_mat(file: Path, size: tuple[int, int]) -> Observed:
    """Reads observers (numbers, or None for all together) and their fixations, in image pixels.

    Supported are: `gaze`, a struct per observer with `fixations` (n, 2), as in SALICON; a map of
    the image's size that is nonzero at fixations (`fixLocs`, as in MIT and CAT2000); and a list
    (n, 2) of x and y. MATLAB counts pixels from 1; a fixated pixel becomes its centre. Fixations
    outside the image are kept, for the caller to drop and count.

    Raises:
        InputError: a damaged file, MATLAB 7.3, none of these variables, more than `MOST_POINTS`
            points, or too many bytes.
    """
    variables = read_mat_file(file, ("gaze", *_LISTS), _FIELD)
    if "gaze" in variables:
        return _structs(variables["gaze"], file)
    for name in _LISTS:
        if name in variables:
            return [(None, _points(variables[name], size, f"{file}: {name}"))]
    names = sorted(variables)
    raise InputError(
        f"{file}: expected one of gaze, {', '.join(_LISTS)}, got {', '.join(names) or 'nothing'}"
    )


def _structs(gaze: Value, file: Path) -> Observed:
    if not isinstance(gaze, list) or any(_FIELD not in entry for entry in gaze):
        raise InputError(f"{file}: expected gaze as structs with fixations, got something else")
    observed: Observed = []
    for number, entry in enumerate(gaze):
        points = entry[_FIELD]
        if points.size == 0:
            observed.append((number, np.zeros((0, 2))))
        else:
            observed.append((number, _list(points, f"{file}: gaze({number + 1}).fixations")))
    if sum(len(points) for _, points in observed) > MOST_POINTS:
        raise InputError(f"{file}: expected at most {MOST_POINTS:,} positions, got more")
    return observed


def _points(stored: Value, size: tuple[int, int], where: str) -> Float[np.ndarray, "fixation xy"]:
    array = stored if isinstance(stored, np.ndarray) else np.zeros((0,), object)
    if array.ndim == 2 and array.shape == size[::-1] and array.dtype.kind in "biuf":
        rows, columns = np.nonzero(array)
        if len(rows) > MOST_POINTS:
            raise InputError(f"{where}: expected a map that is nonzero only at fixations")
        return np.stack([columns, rows], 1) + 0.5
    if array.ndim == 2 and array.shape[-1] == 2:
        return _list(array, where)
    raise InputError(
        f"{where}: expected a map of the image's size {size[0]}x{size[1]} or a list (n, 2) of x "
        f"and y, got {array.shape}"
    )


def _list(array: np.ndarray, where: str) -> Float[np.ndarray, "fixation xy"]:
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iuf":
        raise InputError(f"{where}: expected (n, 2) numbers x and y, got {array.shape}")
    if len(array) > MOST_POINTS:
        raise InputError(f"{where}: expected at most {MOST_POINTS:,} positions, got {len(array):,}")
    points = array.astype(np.float64)
    if not (np.abs(points) <= _FARTHEST).all():
        raise InputError(f"{where}: expected finite positions, got NaN, infinity or beyond 1e9")
    return points - 0.5
