"""Arguments, checked by type and range where they are given."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

from .errors import InputError

_SEEDS = 2**63 - 1


class Counted(int):
    """A whole number that knows what it counts: an int, but refused where others are taken.

    Attributes:
        called: what a message calls it.
        instead: what is to be done where one of another kind is taken.
    """

    __slots__ = ()
    called: ClassVar[str]
    instead: ClassVar[str]


def whole(
    value: object,
    what: str,
    least: int | None = None,
    most: int | None = None,
    kind: type[Counted] | None = None,
) -> int:
    """`value` as an int: Python's, NumPy's or PyTorch's; no bool, no float, no text.

    Args:
        what: what the message calls it.
        least, most: the range, both included; None for no bound.
        kind: the one kind of counted numbers that is taken beside plain ones.

    Raises:
        InputError: another type, a number that counts something else, or outside the range.
    """
    if isinstance(value, Counted) and (kind is None or not isinstance(value, kind)):
        instead = "int() makes it a plain number" if kind is None else value.instead
        raise InputError(
            f"expected {what}{_range(least, most)}, got {value.called} {int(value)}: {instead}"
        )
    try:
        if _is_bool(value):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(
            f"expected {what}{_range(least, most)} (whole numbers), got {shown(value)}"
        ) from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise InputError(f"expected {what}{_range(least, most)}, got {number}")
    return number


def wholes(
    values: object,
    what: str,
    least: int | None = None,
    most: int | None = None,
    kind: type[Counted] | None = None,
) -> tuple[int, ...]:
    """One whole number or several, as a tuple in their order; see `whole`.

    Raises:
        InputError: text, or a member that `whole` refuses.
    """
    alone = isinstance(values, str | bytes | Mapping) or _is_scalar(values)
    if alone or not isinstance(values, Iterable):
        return (whole(values, what, least, most, kind),)
    return tuple(whole(value, what, least, most, kind) for value in values)


def number(value: Any, what: str, least: float | None = None, most: float | None = None) -> float:
    """`value` as a float: any finite number of Python, NumPy or PyTorch; no bool, no text.

    Raises:
        InputError: anything else, or outside the range.
    """
    try:
        if _is_bool(value) or isinstance(value, str | bytes | Counted):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        found = math.nan
    inside = (least is None or found >= least) and (most is None or found <= most)
    if not (math.isfinite(found) and inside):
        raise InputError(f"expected {what}{_range(least, most)}, got {shown(value)}")
    return found


def text(value: object, what: str) -> str:
    """`value`, which must be a str.

    Raises:
        InputError: anything else.
    """
    if not isinstance(value, str):
        raise InputError(f"expected {what} as a str, got {shown(value)}")
    return value


def path(value: object, what: str = "a path") -> Path:
    """`value`, a str or a path, as a Path.

    Raises:
        InputError: anything else.
    """
    found = value if isinstance(value, str) else None
    if isinstance(value, os.PathLike):
        found = os.fspath(value)
    if not isinstance(found, str):
        raise InputError(f"expected {what} as a str or a Path, got {shown(value)}")
    return Path(found)


def listed(values: Any, what: str) -> Any:
    """`values`, which must be several in an order: not one of them alone.

    A str is many letters, which nobody means; the order of a set or of a mapping's keys is chance.

    Raises:
        InputError: anything else.
    """
    alone = not isinstance(values, Iterable) and not hasattr(values, "__getitem__")
    if alone or isinstance(values, str | bytes | Mapping | Set) or _is_scalar(values):
        raise InputError(
            f"expected {what} in a list, got {shown(values)}: one alone is given as a list too"
        )
    return values


def listed_fields(record: Any) -> None:
    """Checks every field of a dataclass that is declared as several of something; see `listed`.

    Raises:
        InputError: one of them is no list; None is left to whoever declares it.
    """
    for one in fields(record):
        value = getattr(record, one.name)
        if str(one.type).startswith(("tuple[", "Sequence[")) and value is not None:
            listed(value, one.name)


def several(values: Any, what: str) -> tuple[Any, ...]:
    """What a list or another iterable in an order holds; see `listed`.

    Raises:
        InputError: text, a mapping, a set, or one thing that is no list.
    """
    return tuple(listed(values, what))


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
        raise InputError(f"expected one of {names} as {what}, got {shown(value)}")
    return value


def _is_bool(value: object) -> bool:
    if type(value) is int:
        return False
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _is_scalar(value: Any) -> bool:
    """Whether it is an array or tensor without axes, which has an `__iter__` all the same."""
    return getattr(value, "ndim", 1) == 0


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f" up to {most}"
    return f" from {least} up" if most in (None, _SEEDS) else f" from {least} to {most}"


def shown(value: object) -> str:
    """What a message calls a value that is none of those expected."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    name = type(value).__name__
    return f"{'an' if name[:1] in 'AEIOUaeio' else 'a'} {name}"
