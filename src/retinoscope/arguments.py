"""Arguments, checked by type and range where they are given."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import InputError

_SEEDS = 2**63 - 1


def whole(value: object, what: str, least: int | None = None, most: int | None = None) -> int:
    """`value` as an int: Python's, NumPy's or PyTorch's; no bool, no float, no text.

    Args:
        what: what the message calls it.
        least, most: the range, both included; None for no bound.

    Raises:
        InputError: another type, or outside the range.
    """
    try:
        if _is_bool(value):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(
            f"expected {what}{_range(least, most)} (whole numbers), got {_shown(value)}"
        ) from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise InputError(f"expected {what}{_range(least, most)}, got {number}")
    return number


def wholes(
    values: object, what: str, least: int | None = None, most: int | None = None
) -> tuple[int, ...]:
    """One whole number or several, as a tuple in their order; see `whole`.

    Raises:
        InputError: text, or a member that `whole` refuses.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable) or _is_scalar(values):
        return (whole(values, what, least, most),)
    return tuple(whole(value, what, least, most) for value in values)


def seed(value: object, what: str = "seed") -> int:
    """A seed of random numbers: a whole number from 0 up.

    Raises:
        InputError: anything else.
    """
    return whole(value, what, 0, _SEEDS)


def one_of(value: Any, choices: Sequence[str], what: str) -> str:
    """`value`, which must be one of `choices`.

    Raises:
        InputError: anything else.
    """
    if not isinstance(value, str) or value not in choices:
        names = ", ".join(repr(name) for name in choices)
        raise InputError(f"expected one of {names} as {what}, got {_shown(value)}")
    return value


def _is_bool(value: object) -> bool:
    if type(value) is int:
        return False
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _is_scalar(value: Any) -> bool:
    """Whether it is an array or tensor without axes, which has an `__iter__` all the same."""
    return getattr(value, "ndim", 1) == 0


def _range(least: int | None, most: int | None) -> str:
    if least is None:
        return "" if most is None else f" up to {most}"
    return f" from {least} up" if most in (None, _SEEDS) else f" from {least} to {most}"


def _shown(value: object) -> str:
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    return f"a {type(value).__name__}"
