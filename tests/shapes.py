"""Array annotations hold wherever a test calls the code that has them.

An import hook puts a check around every function, method and dataclass of `CHECKED` whose
annotations hold an array of jaxtyping's: after each call that returns, beartype holds the arguments
and what came out against them, with one size for each name of an axis. It comes after the call, so
that wrong input gets the code's own refusal; what the code took must be what it says it takes.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import repeat
from sys import maxsize
from types import FunctionType, ModuleType
from typing import Any, get_args

from beartype.door import is_bearable
from jaxtyping import AbstractArray, jaxtyped

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
CHECKED = tuple(f"retinoscope.{room}" for room in ("engine", "lens", "stats", "tokens"))


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        check_module(module)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(CHECKED):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Call it before anything of `CHECKED` is imported."""
    sys.meta_path.insert(0, _Finder())


def check_module(module: ModuleType) -> None:
    """Puts the check around what `module` defines."""
    for name, value in list(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, FunctionType):
            setattr(module, name, checked(value))
        elif inspect.isclass(value):
            _check_class(value)


def _check_class(kind: type) -> None:
    for name, value in list(vars(kind).items()):
        if isinstance(value, FunctionType):
            setattr(kind, name, checked(value))
        elif isinstance(value, classmethod | staticmethod):
            setattr(kind, name, type(value)(checked(value.__func__)))
        elif isinstance(value, property) and value.fget is not None:
            setattr(kind, name, property(checked(value.fget), value.fset, value.fdel))
        elif isinstance(value, functools.cached_property):
            value.func = checked(value.func)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with its array annotations checked after each call that returns."""
    hints = array_hints(function)
    if not hints:
        return function
    parameters = list(inspect.signature(function).parameters.values())
    order = {one.name: place for place, one in enumerate(parameters) if one.kind in _POSITIONAL}
    asked = [(name, -1 if name == "return" else order.get(name, maxsize)) for name in hints]
    passed: set[object] = set()

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        given = {
            name: result if place < 0 else args[place] if place < len(args) else kwargs[name]
            for name, place in asked
            if place < len(args) or name in kwargs
        }
        # Most calls are like one before: the same types, dtypes and shapes.
        kind = tuple(map(_kind, given.items()))
        if kind not in passed:
            with jaxtyped("context"):
                for name, value in given.items():
                    if not is_bearable(value, hints[name]):
                        raise AssertionError(_told(function, name, hints, given))
            passed.add(kind)
        return result

    call.array_hints = hints
    return call


def _kind(named: tuple[str, object]) -> object:
    """What the check of a value depends on."""
    name, value = named
    shape = getattr(value, "shape", None)
    if shape is not None:
        return name, type(value), value.dtype, tuple(shape)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return name, type(value), *map(_kind, zip(repeat(name), value, strict=False))
    return name, type(value)


def array_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of `function` that hold an array.

    Annotations with names that only a type checker imports cannot be read and are left out.
    """
    plain = inspect.unwrap(function)
    found: dict[str, Any] = {}
    for name, text in plain.__annotations__.items():
        try:
            hint = eval(text, plain.__globals__) if isinstance(text, str) else text
        except NameError:
            continue
        if _holds_array(hint):
            found[name] = hint
    return found


def _holds_array(hint: object) -> bool:
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return True
    return any(_holds_array(part) for part in get_args(hint))


def _told(
    function: Callable[..., Any], name: str, hints: dict[str, Any], given: dict[str, Any]
) -> str:
    all_given = {one: _described(given[one]) for one in hints if one in given}
    where = f"{function.__module__}.{function.__qualname__}"
    return f"{where}: expected {name} as {hints[name]}, got {all_given}"


def _described(value: object) -> str:
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"{value.dtype} {tuple(shape)}"
