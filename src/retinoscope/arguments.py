"""Arguments, checked by type and range where they are given."""

from __future__ import annotations

import inspect
import math
import operator
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import fields
from functools import cache, partial, wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from .errors import InputError

P = ParamSpec("P")
T = TypeVar("T")
Check = Callable[[Any, str], Any]
"""Of a value and what the message calls it; returns the value as it is used."""

_SEEDS = 2**63 - 1
_DTYPES = {
    "Bool": ("a boolean array", "b"),
    "Int": ("an array of whole numbers", "iu"),
    "Integer": ("an array of whole numbers", "iu"),
    "Float": ("an array of numbers", "biuf"),
}
"""By jaxtyping's name: what an array holds, and the kinds of NumPy's types that are taken."""


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


def nth(value: object, n: int, what: str) -> int:
    """The place from 0 of a sequence's index, which may count from the end.

    Args:
        n: length of the sequence.
        what: what a message calls one of its members.

    Raises:
        InputError: no whole number.
        IndexError: outside the sequence, as Python's own sequences say it.
    """
    found = whole(value, f"the index of a {what}, or a slice")
    if not -n <= found < n:
        raise IndexError(f"{what} {found} of {n}")
    return found % n


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


def real(value: Any, what: str) -> float:
    """As `number`, but NaN and infinity are numbers too.

    Raises:
        InputError: no number.
    """
    try:
        if math.isfinite(value):
            return number(value, what)
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"expected {what} as a number, got {shown(value)}") from None


def flag(value: Any, what: str) -> bool:
    """`value` as a bool: Python's or NumPy's; nothing that is merely true or false.

    Raises:
        InputError: anything else.
    """
    if not _is_bool(value) or not _is_scalar(value, 0):
        raise InputError(f"expected {what} as True or False, got {shown(value)}")
    return bool(value)


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


def array(value: Any, what: str, dtype: str = "Float", axes: Sequence[str] | None = None) -> Any:
    """`value` as a NumPy array: an array, a tensor on the CPU, or lists of numbers.

    Args:
        dtype: "Bool", "Int" or "Float"; whole numbers are taken for floats.
        axes: their names; None for any number of them.

    Raises:
        InputError: no numbers, or another number of axes.
    """
    import numpy as np

    held, kinds = _DTYPES[dtype]
    wanted = f" ({', '.join(axes)})" if axes else ""
    try:
        found = np.asarray(value)
        right = found.dtype.kind in kinds or not found.size
        got = f"{found.dtype} {found.shape}" if found.ndim else shown(value)
    except (TypeError, ValueError, RuntimeError):
        found, right, got = np.zeros(0), False, shown(value)
    if not right or (axes is not None and found.ndim != len(axes)):
        raise InputError(f"expected {what} as {held}{wanted}, got {got}")
    return found


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Checks each call's arguments against the function's annotations, see `_check_of`.

    The function gets what the checks make of them: arrays in place of lists.
    """
    signature = inspect.signature(function)
    several = {name for name, one in signature.parameters.items() if one.kind in _VARIADIC}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = signature.bind(*args, **kwargs)
        for name, check in _checks_of(function):
            if name in bound.arguments and name not in several:
                bound.arguments[name] = check(bound.arguments[name], name)
        return function(*bound.args, **bound.kwargs)

    return call


def checked_fields(record: Any) -> None:
    """Checks every field of a dataclass against its annotation, see `_check_of`.

    Raises:
        InputError: the first field that is something else.
    """
    checks = dict(_checks_of(type(record)))
    for one in fields(record):
        if one.name in checks:
            checks[one.name](getattr(record, one.name), one.name)


@cache
def _checks_of(owner: Any) -> tuple[tuple[str, Check], ...]:
    """The check of each annotated name of a function or a class, where its annotation has one."""
    found: dict[str, Check] = {}
    for one in reversed(inspect.getmro(owner)) if inspect.isclass(owner) else (owner,):
        known = vars(sys.modules[one.__module__])
        for name, annotation in inspect.get_annotations(one).items():
            try:
                meant = eval(annotation, dict(known)) if isinstance(annotation, str) else annotation
            except (NameError, AttributeError, TypeError):
                # Names that only type checkers import: no number, text or array is among them.
                continue
            check = _check_of(meant)
            if check is not None and name != "return":
                found[name] = check
    return tuple(found.items())


def _check_of(annotation: Any) -> Check | None:
    """What is checked of an annotation: None where it says nothing that is checked here.

    Numbers, flags, texts, paths, choices (`Literal`), NumPy arrays (jaxtyping's), several of them
    in a tuple or a sequence, this package's own classes, and None beside one of them.
    """
    if hasattr(annotation, "dim_str"):
        return _check_of_array(annotation)
    if isinstance(annotation, type):
        return _SIMPLE.get(annotation) or _check_of_class(annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal and all(isinstance(one, str) for one in inner):
        return lambda value, what: one_of(value, inner, what)
    if origin in (Union, UnionType):
        return _check_of_union(inner)
    if origin in (Sequence, tuple) and inner:
        # Samples are read from the disk where they are asked for: not here.
        check = None if _is_own(inner[0]) else _check_of(inner[0])
        any_number = origin is Sequence or inner[-1] is ...
        return partial(_each, check=check, n=None if any_number else len(inner))
    return None


def _is_own(annotation: Any) -> bool:
    own = isinstance(annotation, type) and annotation.__module__.startswith(f"{__package__}.")
    return own and not getattr(annotation, "_is_protocol", False)


def _check_of_class(annotation: type) -> Check | None:
    def check(value: Any, what: str) -> Any:
        if not isinstance(value, annotation):
            raise InputError(f"expected {what} as {_named(annotation)}, got {shown(value)}")
        return value

    return check if _is_own(annotation) else None


def _check_of_union(members: tuple[Any, ...]) -> Check | None:
    meant = {one for one in members if one is not NoneType}
    found: Check | None = None
    if meant == {str, Path}:
        found = path
    elif len(meant) == 1:
        found = _check_of(meant.pop())
    if found is None or NoneType not in members:
        return found
    check = found
    return lambda value, what: None if value is None else check(value, what)


def _each(values: Any, what: str, check: Check | None, n: int | None = None) -> Any:
    """Several values, or exactly `n`."""
    listed(values, what)
    if n is not None and len(values) != n:
        raise InputError(f"expected {n} values as {what}, got {len(values)}")
    if check is not None:
        for value in values:
            check(value, f"each of {what}")
    return values


def _check_of_array(annotation: Any) -> Check | None:
    dtype, axes = annotation.dtype.__name__, annotation.dim_str.split()
    if annotation.array_type.__module__ != "numpy" or dtype not in _DTYPES:
        return None
    return partial(array, dtype=dtype, axes=None if any(one[0] in "*." for one in axes) else axes)


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_SIMPLE: dict[type, Check] = {bool: flag, int: whole, float: real, str: text}


def _is_bool(value: object) -> bool:
    if type(value) is int:
        return False
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _is_scalar(value: Any, otherwise: int = 1) -> bool:
    """Whether it is an array or tensor without axes, which has an `__iter__` all the same.

    Args:
        otherwise: how many axes something has that is no array.
    """
    return getattr(value, "ndim", otherwise) == 0


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f" up to {most}"
    return f" from {least} up" if most in (None, _SEEDS) else f" from {least} to {most}"


def shown(value: object) -> str:
    """What a message calls a value that is none of those expected."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    return _named(type(value))


def _named(kind: type) -> str:
    name = kind.__name__
    return f"{'an' if name[:1] in 'AEIOUaeio' else 'a'} {name}"
