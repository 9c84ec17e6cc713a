"""One computation at a time per model, and hooks limited to the computation that installed them.

Everything that calls a model does so inside `entering(model)`. Hooks and replaced functions apply
only to the thread that installed them; a call of the same model from another thread is unaffected.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

P = ParamSpec("P")
T = TypeVar("T")

_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_MAKING = threading.Lock()


@contextmanager
def entering(model: nn.Module) -> Iterator[None]:
    """Keeps other threads from entering `model` through retinoscope; re-entrant.

    The lock belongs to the module, so that two `VLM`s on the same model share it.
    """
    with _lock_of(model):
        yield


def in_turn(model: Callable[[Any], nn.Module]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a method run inside `entering(model(self))`."""

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        @wraps(method)
        def entered(*args: P.args, **kwargs: P.kwargs) -> T:
            with entering(model(args[0])):
                return method(*args, **kwargs)

        return entered

    return decorate


def _lock_of(model: nn.Module) -> threading.RLock:
    with _MAKING:
        return _LOCKS.setdefault(model, threading.RLock())


@contextmanager
def hooked(
    modules: Iterable[nn.Module],
    *,
    before: Callable[..., Any] | None = None,
    after: Callable[..., Any] | None = None,
    prepend: bool = False,
) -> Iterator[None]:
    """Installs hooks on the forward pass of `modules` for calls from this thread.

    Args:
        before: `before(module, args, kwargs)`, like torch's pre-hooks with keywords.
        after: `after(module, args, output)`, like torch's forward hooks.
        prepend: run before all existing hooks.
    """
    with ExitStack() as stack:
        for module in modules:
            if before is not None:
                handle = module.register_forward_pre_hook(
                    _in_this_thread(before), prepend=prepend, with_kwargs=True
                )
                stack.callback(handle.remove)
            if after is not None:
                handle = module.register_forward_hook(_in_this_thread(after), prepend=prepend)
                stack.callback(handle.remove)
        yield


def _in_this_thread(hook: Callable[..., T]) -> Callable[..., T | None]:
    """Restricts `hook` to calls from the current thread; in others it does nothing."""
    owner = threading.get_ident()

    def guarded(*args: Any) -> T | None:
        return hook(*args) if threading.get_ident() == owner else None

    return guarded
