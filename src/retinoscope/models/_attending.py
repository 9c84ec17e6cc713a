"""Replacing the attention function of a decoder's modules in one thread only."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

PREFIX = "retinoscope_"


@dataclass(frozen=True, eq=False)
class _Override:
    """A replacement attention function; None is the library's eager attention and its masks."""

    function: Callable[..., Any] | None


_override: ContextVar[_Override | None] = ContextVar("override", default=None)
"""The override of a thread; without one, modules attend as configured."""

_LOCK = threading.Lock()
_active: dict[int, int] = {}


@contextmanager
def attending(config: Any, function: Callable[..., Any] | None) -> Iterator[None]:
    """Makes the modules with this `config` attend by `function` in this thread.

    The library reads the name of its attention from the configuration, which all threads share, so
    that name is replaced by a new one, under which other threads still get what the original name
    stands for, including masks.

    Args:
        function: has the arguments of the library's attention functions; None is its eager
            attention.
    """
    token = _override.set(_Override(function))
    try:
        _enter(config)
        try:
            yield
        finally:
            _leave(config)
    finally:
        _override.reset(token)


def _enter(config: Any) -> None:
    with _LOCK:
        name = str(config._attn_implementation)
        _active[id(config)] = _active.get(id(config), 0) + 1
        if name.startswith(PREFIX):
            return
        new = PREFIX + name
        if new not in AttentionInterface._global_mapping:
            AttentionMaskInterface.register(new, partial(_mask, name))
            AttentionInterface.register(new, partial(_attention, name))
        config._attn_implementation = new


def _leave(config: Any) -> None:
    with _LOCK:
        _active[id(config)] -= 1
        if not _active[id(config)]:
            del _active[id(config)]
            config._attn_implementation = own_attention(config)


def own_attention(config: Any) -> str:
    """The name of the attention in a configuration, without an override."""
    return str(config._attn_implementation).removeprefix(PREFIX)


def _attention(name: str, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    override = _override.get()
    if override is not None and override.function is not None:
        return override.function(module, *args, **kwargs)
    return _of_library(module, name if override is None else "eager")(module, *args, **kwargs)


def _of_library(module: nn.Module, name: str) -> Callable[..., Any]:
    """The library's attention for a module under this name."""
    for kind in type(module).__mro__:
        file = sys.modules.get(kind.__module__)
        eager = getattr(file, "eager_attention_forward", None)
        if eager is not None:
            known = getattr(file, "ALL_ATTENTION_FUNCTIONS", None) or AttentionInterface()
            return known.get_interface(name, eager)
    return AttentionInterface()[name]


def _mask(name: str, *args: Any, **kwargs: Any) -> Any:
    if _override.get() is not None:
        return eager_mask(*args, **kwargs)
    function = AttentionMaskInterface._global_mapping.get(name)
    return None if function is None else function(*args, **kwargs)
