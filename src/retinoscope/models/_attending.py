"""Another attention function for a decoder's modules, in one thread only."""

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
class _Way:
    """How modules attend; None is the library's own eager attention, with masks to match."""

    function: Callable[..., Any] | None


_way: ContextVar[_Way | None] = ContextVar("way", default=None)
"""A thread that did not ask for another way has none: it attends as the configuration says."""

_COUNTING = threading.Lock()
_inside: dict[int, int] = {}


@contextmanager
def attending(config: Any, function: Callable[..., Any] | None) -> Iterator[None]:
    """The modules with this `config` attend by `function`, when called from this thread.

    The library reads the name of its attention from the configuration, which all threads share. So
    the name is replaced by one of ours, under which every other thread gets what the replaced name
    stands for, masks included.

    Args:
        function: takes what the library's attention functions take; None is its eager attention.
    """
    token = _way.set(_Way(function))
    try:
        _enter(config)
        try:
            yield
        finally:
            _leave(config)
    finally:
        _way.reset(token)


def _enter(config: Any) -> None:
    with _COUNTING:
        own = str(config._attn_implementation)
        _inside[id(config)] = _inside.get(id(config), 0) + 1
        if own.startswith(PREFIX):
            return
        name = PREFIX + own
        if name not in AttentionInterface._global_mapping:
            AttentionMaskInterface.register(name, partial(_mask, own))
            AttentionInterface.register(name, partial(_attention, own))
        config._attn_implementation = name


def _leave(config: Any) -> None:
    with _COUNTING:
        _inside[id(config)] -= 1
        if not _inside[id(config)]:
            del _inside[id(config)]
            config._attn_implementation = own_attention(config)


def own_attention(config: Any) -> str:
    """The name of the attention that a configuration asks for by itself."""
    return str(config._attn_implementation).removeprefix(PREFIX)


def _attention(own: str, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    way = _way.get()
    if way is not None and way.function is not None:
        return way.function(module, *args, **kwargs)
    return _of_library(module, own if way is None else "eager")(module, *args, **kwargs)


def _of_library(module: nn.Module, name: str) -> Callable[..., Any]:
    """The attention that a module would have taken under this name."""
    for kind in type(module).__mro__:
        file = sys.modules.get(kind.__module__)
        eager = getattr(file, "eager_attention_forward", None)
        if eager is not None:
            known = getattr(file, "ALL_ATTENTION_FUNCTIONS", None) or AttentionInterface()
            return known.get_interface(name, eager)
    return AttentionInterface()[name]


def _mask(own: str, *args: Any, **kwargs: Any) -> Any:
    if _way.get() is not None:
        return eager_mask(*args, **kwargs)
    function = AttentionMaskInterface._global_mapping.get(own)
    return None if function is None else function(*args, **kwargs)
