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
"""Takes a value and its name in messages; returns the value in the form that is used."""

_SEEDS = 2**63 - 1
_DTYPES = {
    "Bool": ("a boolean array", "b"),
    "Int": ("an array of whole numbers", "iu"),
    "Integer": ("an array of whole numbers", "iu"),
    "Float": ("an array of numbers", "biuf"),
}
"""Per jaxtyping dtype: what the array holds, in words, and the NumPy kinds that are accepted."""


class Counted(int):
    """A whole number that knows what it counts: an int, but refused where another kind is expected.

    Attributes:
        called: the name of the quantity in messages.
        instead: what to do where another kind of number is expected.
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
    """Returns `value` as an int: Python's, NumPy's or PyTorch's; no bool, float or text.

    Args:
        what: its name in the message.
        least, most: the bounds, both included; None for no bound.
        kind: the one kind of `Counted` number that is accepted besides plain ones.

    Raises:
        InputError: another type, a number that counts something else, or a number out of bounds.
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
    """Returns one whole number or several as a tuple, in their order; see `whole`.

    Raises:
        InputError: text, or an item that `whole` refuses.
    """
    alone = isinstance(values, str | bytes | Mapping) or _is_scalar(values)
    if alone or not isinstance(values, Iterable):
        return (whole(values, what, least, most, kind),)
    return tuple(whole(value, what, least, most, kind) for value in values)


def nth(value: object, n: int, what: str) -> int:
    """Returns an index from 0 up, given one that may also count from the end.

    Args:
        n: length of the sequence.
        what: what a message calls one item.

    Raises:
        InputError: not a whole number.
        IndexError: outside the sequence, as for Python's own sequences.
    """
    index = whole(value, f"the index of a {what}, or a slice")
    if not -n <= index < n:
        raise IndexError(f"{what} {index} of {n}")
    return index % n


def number(value: Any, what: str, least: float | None = None, most: float | None = None) -> float:
    """Returns `value` as a float: any finite Python, NumPy or PyTorch number; no bool or text.

    Raises:
        InputError: anything else, or a number out of bounds.
    """
    try:
        if _is_bool(value) or isinstance(value, str | bytes | Counted):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        result = math.nan
    inside = (least is None or result >= least) and (most is None or result <= most)
    if not (math.isfinite(result) and inside):
        raise InputError(f"expected {what}{_range(least, most)}, got {shown(value)}")
    return result


def real(value: Any, what: str) -> float:
    """Like `number`, but NaN and infinity are accepted.

    Raises:
        InputError: not a number.
    """
    try:
        if math.isfinite(value):
            return number(value, what)
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"expected {what} as a number, got {shown(value)}") from None


def flag(value: Any, what: str) -> bool:
    """Returns `value` as a bool: Python's or NumPy's, nothing that is merely truthy or falsy.

    Raises:
        InputError: anything else.
    """
    if not _is_bool(value) or not _is_scalar(value, 0):
        raise InputError(f"expected {what} as True or False, got {shown(value)}")
    return bool(value)


def text(value: object, what: str) -> str:
    """Returns `value`, which must be a str.

    Raises:
        InputError: anything else.
    """
    if not isinstance(value, str):
        raise InputError(f"expected {what} as a str, got {shown(value)}")
    return value


def path(value: object, what: str = "a path") -> Path:
    """Returns `value`, a str or a path, as a Path.

    Raises:
        InputError: anything else.
    """
    name = value if isinstance(value, str) else None
    if isinstance(value, os.PathLike):
        name = os.fspath(value)
    if not isinstance(name, str):
        raise InputError(f"expected {what} as a str or a Path, got {shown(value)}")
    return Path(name)


def listed(values: Any, what: str) -> Any:
    """Returns `values`, which must be an ordered collection rather than a single item.

    A str is refused, since nobody means its letters; so are sets and mappings, which have no
    meaningful order.

    Raises:
        InputError: anything else.
    """
    alone = not isinstance(values, Iterable) and not hasattr(values, "__getitem__")
    if alone or isinstance(values, str | bytes | Mapping | Set) or _is_scalar(values):
        raise InputError(
            f"expected {what} in a list, got {shown(values)}: put a single item in a list too"
        )
    return values


def several(values: Any, what: str) -> tuple[Any, ...]:
    """Returns the items of a list or another ordered iterable as a tuple; see `listed`.

    Raises:
        InputError: text, a mapping, a set, or a single item.
    """
    return tuple(listed(values, what))


def seed(value: object, what: str = "seed") -> int:
    """Returns `value`, the seed of a random generator: a whole number from 0 up.

    Raises:
        InputError: anything else.
    """
    return whole(value, what, 0, _SEEDS)


def one_of(value: Any, choices: Sequence[str], what: str) -> str:
    """Returns `value`, which must be one of `choices`.

    Raises:
        InputError: anything else.
    """
    if not isinstance(value, str) or value not in choices:
        names = ", ".join(repr(name) for name in choices)
        raise InputError(f"expected one of {names} as {what}, got {shown(value)}")
    return value


def array(value: Any, what: str, dtype: str = "Float", axes: Sequence[str] | None = None) -> Any:
    """Returns `value` (an array, a CPU tensor, or lists of numbers) as a NumPy array.

    Args:
        dtype: "Bool", "Int" or "Float"; "Float" accepts whole numbers.
        axes: the names of the axes; None for any number of them.

    Raises:
        InputError: not numbers, or the wrong number of axes.
    """
    import numpy as np

    held, kinds = _DTYPES[dtype]
    wanted = f" ({', '.join(axes)})" if axes else ""
    try:
        result = np.asarray(value)
        accepted = result.dtype.kind in kinds or not result.size
        got = f"{result.dtype} {result.shape}" if result.ndim else shown(value)
    except (TypeError, ValueError, RuntimeError):
        result, accepted, got = np.zeros(0), False, shown(value)
    if not accepted or (axes is not None and result.ndim != len(axes)):
        raise InputError(f"expected {what} as {held}{wanted}, got {got}")
    return result


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Checks the arguments of each call against the function's annotations; see `_check_of`.

    The function receives what the checks return: arrays in place of lists, for example.
    """
    signature = inspect.signature(function)
    variadic = {name for name, value in signature.parameters.items() if value.kind in _VARIADIC}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = signature.bind(*args, **kwargs)
        for name, check in _checks_of(function):
            if name in bound.arguments and name not in variadic:
                bound.arguments[name] = check(bound.arguments[name], name)
        return function(*bound.args, **bound.kwargs)

    return call


def checked_fields(record: Any) -> None:
    """Checks every field of a dataclass against its annotation; see `_check_of`.

    Raises:
        InputError: a field of the wrong type; names the first.
    """
    checks = dict(_checks_of(type(record)))
    for field in fields(record):
        if field.name in checks:
            checks[field.name](getattr(record, field.name), field.name)


@cache
def _checks_of(owner: Any) -> tuple[tuple[str, Check], ...]:
    """The check for each annotated name of a function or class, where its annotation has one."""
    result: dict[str, Check] = {}
    for scope in reversed(inspect.getmro(owner)) if inspect.isclass(owner) else (owner,):
        names = vars(sys.modules[scope.__module__])
        for name, annotation in inspect.get_annotations(scope).items():
            try:
                kind = eval(annotation, dict(names)) if isinstance(annotation, str) else annotation
            except (NameError, AttributeError, TypeError):
                # Imported for type checkers only; no number, text or array is among these.
                continue
            check = _check_of(kind)
            if check is not None and name != "return":
                result[name] = check
    return tuple(result.items())


def _check_of(annotation: Any) -> Check | None:
    """Returns the check for an annotation, or None where it states nothing that is checked here.

    Checked are numbers, flags, texts, paths, choices (`Literal`), NumPy arrays (jaxtyping's),
    tuples and sequences of these, this package's own classes, and None as an alternative.
    """
    if hasattr(annotation, "dim_str"):
        return _check_of_array(annotation)
    if isinstance(annotation, type):
        return _SIMPLE.get(annotation) or _check_of_class(annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal and all(isinstance(choice, str) for choice in inner):
        return lambda value, what: one_of(value, inner, what)
    if origin in (Union, UnionType):
        return _check_of_union(inner)
    if origin in (Sequence, tuple) and inner:
        # Samples are read from disk on access, so they are not checked here.
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
    kinds = {member for member in members if member is not NoneType}
    check: Check | None = None
    if kinds == {str, Path}:
        check = path
    elif len(kinds) == 1:
        check = _check_of(kinds.pop())
    if check is None or NoneType not in members:
        return check
    return lambda value, what: None if value is None else check(value, what)


def _each(values: Any, what: str, check: Check | None, n: int | None = None) -> Any:
    """Checks each of several values, of which there must be `n` if given."""
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
    return partial(array, dtype=dtype, axes=None if any(axis[0] in "*." for axis in axes) else axes)


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_SIMPLE: dict[type, Check] = {bool: flag, int: whole, float: real, str: text}


def _is_bool(value: object) -> bool:
    if type(value) is int:
        return False
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _is_scalar(value: Any, otherwise: int = 1) -> bool:
    """Whether `value` is an array or tensor without axes; these have an `__iter__` all the same.

    Args:
        otherwise: the number of axes to assume for anything that is not an array.
    """
    return getattr(value, "ndim", otherwise) == 0


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f" up to {most}"
    return f" from {least} up" if most in (None, _SEEDS) else f" from {least} to {most}"


def shown(value: object) -> str:
    """Describes an unexpected value in a message."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    return _named(type(value))


def _named(kind: type) -> str:
    name = kind.__name__
    return f"{'an' if name[:1] in 'AEIOUaeio' else 'a'} {name}"
