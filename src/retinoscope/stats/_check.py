"""Input checks: what goes into a statistic is finite, one-dimensional and of matching length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retinoscope.arguments import listed, whole
from retinoscope.errors import InputError

Values = Sequence[float] | Sequence[bool] | np.ndarray
Groups = Sequence[str] | Sequence[int] | np.ndarray


def numbers(values: Values, name: str) -> np.ndarray:
    """Returns `values` as a float64 array (n,) of finite numbers.

    Raises:
        InputError: not one-dimensional, not numbers, or NaN, infinity or None; names the index.
    """
    if isinstance(values, np.ndarray):
        array = values
    else:
        items = list(listed(values, name))
        for index, item in enumerate(items):
            if item is None:
                raise InputError(f"{name}[{index}] is None; leave undefined items out, count them")
        try:
            array = np.asarray(items)
        except ValueError:
            raise InputError(
                f"{name} must be one-dimensional, got items of several sizes"
            ) from None
    if array.ndim != 1:
        raise InputError(f"{name} must be one-dimensional, got the shape {array.shape}")
    if array.size and array.dtype.kind not in "biuf":
        raise InputError(f"{name} must be numbers or booleans, got {array.dtype}")
    array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(
            f"{name}[{bad[0]}] is {array[bad[0]]} ({bad.size} such of {array.size}); "
            "leave undefined items out, count them"
        )
    return array


def is_boolean(values: Values) -> bool:
    """Whether all values are booleans by type (not merely 0 and 1)."""
    if isinstance(values, np.ndarray):
        return values.dtype.kind == "b"
    return all(isinstance(value, bool | np.bool_) for value in values)


def group_numbers(groups: Groups | None, n: int) -> tuple[np.ndarray, int]:
    """Numbers the groups from 0 up, in sorted order so that the order of the items does not matter.

    Without groups, each item is a group of its own.

    Returns:
        (n,) integers, the group of each item; and the number of groups.

    Raises:
        InputError: not one group per item, or an undefined group; names its index.
    """
    if groups is None:
        return np.arange(n), n
    items = groups.tolist() if isinstance(groups, np.ndarray) else list(listed(groups, "groups"))
    if len(items) != n:
        raise InputError(f"expected one group per item: {n} items, {len(items)} groups")
    for index, item in enumerate(items):
        if isinstance(item, list) or item is None or item != item:
            raise InputError(
                f"groups[{index}] is {item!r}; expected the name or number of an image"
            )
    try:
        unique = sorted(set(items))
    except TypeError:
        raise InputError("groups mix types; expected all names or all numbers") from None
    number = {item: k for k, item in enumerate(unique)}
    return np.fromiter((number[item] for item in items), np.int64, n), len(unique)


def check_level(level: float) -> float:
    """Returns `level` if it lies strictly between 0 and 1; else raises `InputError`."""
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, such as 0.95; got {level}")
    return level


def check_resamples(n_resamples: int) -> int:
    """Returns `n_resamples` if it is at least 1; else raises `InputError`."""
    return whole(n_resamples, "n_resamples", 1)
