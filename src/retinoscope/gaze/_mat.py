"""Fixations in MATLAB files, as SALICON and the MIT and CAT2000 collections store them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..errors import InputError
from ._mat_file import Value, read_mat_file

Observed = list[tuple[int | None, Float[np.ndarray, "fixation xy"]]]
MOST_POINTS = 1_000_000
"""Of one image; a minute of thirty observers at 500 Hz has 900,000."""
_FIELD = "fixations"
_FARTHEST = 1e9
_LISTS = ("fixations", "fixLocs", "fixlocs", "eyedata", "data")


def read_mat(file: Path, size: tuple[int, int]) -> Observed:
    """Observers (numbers, or None for all together) and their fixations in pixels of the image.

    Read are: `gaze`, a struct for each observer with `fixations` (n, 2), as SALICON has it; a map
    of the image's size that is not 0 at fixations (`fixLocs`, as MIT and CAT2000 have it); and a
    list (n, 2) of x and y. MATLAB counts pixels from 1; a fixated pixel becomes its centre.
    Fixations outside the image are kept, for the reader to drop and count.

    Raises:
        InputError: a damaged file, one of MATLAB 7.3, one without any of these, or one of more than
            `MOST_POINTS`, or too many bytes.
    """
    told = read_mat_file(file, ("gaze", *_LISTS), _FIELD)
    if "gaze" in told:
        return _structs(told["gaze"], file)
    for name in _LISTS:
        if name in told:
            return [(None, _points(told[name], size, f"{file}: {name}"))]
    names = sorted(told)
    raise InputError(
        f"{file}: expected one of gaze, {', '.join(_LISTS)}, got {', '.join(names) or 'nothing'}"
    )


def _structs(gaze: Value, file: Path) -> Observed:
    if not isinstance(gaze, list) or any(_FIELD not in one for one in gaze):
        raise InputError(f"{file}: expected gaze as structs with fixations, got others")
    found: Observed = []
    for number, one in enumerate(gaze):
        points = one[_FIELD]
        if points.size == 0:
            found.append((number, np.zeros((0, 2))))
        else:
            found.append((number, _list(points, f"{file}: gaze({number + 1}).fixations")))
    if sum(len(points) for _, points in found) > MOST_POINTS:
        raise InputError(f"{file}: expected at most {MOST_POINTS:,} positions, got more")
    return found


def _points(stored: Value, size: tuple[int, int], where: str) -> Float[np.ndarray, "fixation xy"]:
    array = stored if isinstance(stored, np.ndarray) else np.zeros((0,), object)
    if array.ndim == 2 and array.shape == size[::-1] and array.dtype.kind in "biuf":
        rows, columns = np.nonzero(array)
        if len(rows) > MOST_POINTS:
            raise InputError(f"{where}: expected a map that is 0 but at fixations, got others")
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
        raise InputError(f"{where}: expected finite positions, got NaN, infinity or beyond")
    return points - 0.5
