"""Fixations in MATLAB files, as SALICON and the MIT and CAT2000 collections store them."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ...errors import InputError

Observed = list[tuple[int | None, Float[np.ndarray, "fixation xy"]]]
_LISTS = ("fixations", "fixLocs", "fixlocs", "eyedata", "data")


def read_mat(file: Path, size: tuple[int, int]) -> Observed:
    """Observers (numbers, or None for all together) and their fixations in pixels of the image.

    Read are: `gaze`, a struct for each observer with `fixations` (n, 2), as SALICON has it; a map
    of the image's size that is not 0 at fixations (`fixLocs`, as MIT and CAT2000 have it); and a
    list (n, 2) of x and y. MATLAB counts pixels from 1; a fixated pixel becomes its centre.
    Fixations outside the image are kept, for the reader to drop and count.

    Raises:
        InputError: a damaged file, one of MATLAB 7.3, or without any of these.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        told: dict[str, Any] = loadmat(file, squeeze_me=False, struct_as_record=True)
    except NotImplementedError as error:
        raise InputError(
            f"{file}: expected a MATLAB file up to version 7, got one of 7.3: save it with -v7"
        ) from error
    except (OSError, ValueError, TypeError, MatReadError, zlib.error) as error:
        raise InputError(f"{file}: expected a MATLAB file, got something else ({error})") from error
    if "gaze" in told:
        return _structs(told["gaze"], file)
    for name in _LISTS:
        if name in told:
            return [(None, _points(told[name], size, f"{file}: {name}"))]
    names = sorted(name for name in told if not name.startswith("__"))
    raise InputError(
        f"{file}: expected one of gaze, {', '.join(_LISTS)}, got {', '.join(names) or 'nothing'}"
    )


def _structs(gaze: Any, file: Path) -> Observed:
    if gaze.dtype.names is None or "fixations" not in gaze.dtype.names:
        raise InputError(f"{file}: expected gaze as structs with fixations, got others")
    found: Observed = []
    for number, one in enumerate(gaze.ravel()):
        points = np.asarray(one["fixations"])
        if points.size == 0:
            found.append((number, np.zeros((0, 2))))
        else:
            found.append((number, _list(points, f"{file}: gaze({number + 1}).fixations")))
    return found


def _points(stored: Any, size: tuple[int, int], where: str) -> Float[np.ndarray, "fixation xy"]:
    array = np.asarray(stored)
    if array.ndim == 2 and array.shape == size[::-1] and array.dtype.kind in "biuf":
        rows, columns = np.nonzero(array)
        return np.stack([columns, rows], 1) + 0.5
    if array.ndim == 2 and array.shape[1] == 2:
        return _list(array, where)
    raise InputError(
        f"{where}: expected a map of the image's size {size[0]}x{size[1]} or a list (n, 2) of x "
        f"and y, got {array.shape}"
    )


def _list(array: np.ndarray, where: str) -> Float[np.ndarray, "fixation xy"]:
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iuf":
        raise InputError(f"{where}: expected (n, 2) numbers x and y, got {array.shape}")
    points = array.astype(np.float64)
    if not np.isfinite(points).all():
        raise InputError(f"{where}: expected finite positions, got NaN or infinity")
    return points - 0.5
