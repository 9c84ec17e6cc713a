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
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FunctionType, ModuleType
from typing import Any, get_args

from beartype.door import is_bearable
from jaxtyping import AbstractArray, jaxtyped

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
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        given = {**signature.bind(*args, **kwargs).arguments, "return": result}
        with jaxtyped("context"):
            for name in [name for name in hints if name in given]:
                if not is_bearable(given[name], hints[name]):
                    raise AssertionError(_told(function, name, hints, given))
        return result

    call.array_hints = hints
    return call


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
