"""Forward hooks that a context manager always takes off, and that act in one thread only."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from ..errors import CapabilityError
from ..models import hooked

HiddenEdit = Callable[[Tensor], Tensor | None]


@contextmanager
def on_input(module: nn.Module, edit: Callable[[Tensor, dict[str, Any]], Tensor | None]):
    """`edit(hidden, kwargs)` sees what `module` receives; a tensor it returns replaces `hidden`.

    It comes before the hooks that are there already: what they do belongs to the module. Of several
    the one that was put on last comes first.
    """

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]):
        hidden = args[0] if args else kwargs["hidden_states"]
        new = edit(hidden, kwargs)
        if new is None:
            return None
        if args:
            return (new, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": new}

    with hooked([module], before=hook, prepend=True):
        yield


@contextmanager
def on_output(module: nn.Module, edit: HiddenEdit) -> Iterator[None]:
    """`edit(hidden)` sees the first output of `module`; a tensor it returns replaces it."""

    def hook(_: nn.Module, __: tuple[Any, ...], output: Any):
        several = isinstance(output, tuple)
        new = edit(output[0] if several else output)
        if new is None:
            return None
        return (new, *output[1:]) if several else new

    with hooked([module], after=hook):
        yield


@contextmanager
def on_attention_mask(
    module: nn.Module, edit: Callable[[Tensor, Tensor | None], Tensor | None]
) -> Iterator[None]:
    """`edit(hidden, mask)` sees an attention module's input and mask; a mask it returns is used.

    Raises:
        CapabilityError: the attention module takes no argument `attention_mask`.
    """

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]):
        hidden = args[0] if args else kwargs["hidden_states"]
        if "attention_mask" not in kwargs:
            raise CapabilityError(
                f"{type(module).__name__} takes no attention_mask by name, so its edges cannot be "
                "knocked out: use another model family"
            )
        new = edit(hidden, kwargs["attention_mask"])
        return None if new is None else (args, {**kwargs, "attention_mask": new})

    with hooked([module], before=hook):
        yield


Seen = list[tuple[Tensor, dict[str, Any]]]


class _Skip:
    """A forward that returns its input unchanged, in the threads that asked for it."""

    def __init__(self, module: nn.Module) -> None:
        # A module may carry a forward of its own already (models spread over devices do).
        self.replaced = vars(module).get("forward")
        self.threads: dict[int, tuple[Seen, bool]] = {}
        self._forward = module.forward
        self._signature = inspect.signature(type(module).forward)
        self._module = module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        asked = self.threads.get(threading.get_ident())
        if asked is None:
            return self._forward(*args, **kwargs)
        seen, in_tuple = asked
        given = self._signature.bind(self._module, *args, **kwargs).arguments
        _, hidden, *rest = given.items()
        named = dict(rest)
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                named.update(named.pop(name, {}))
        seen.append((hidden[1], named))
        return (hidden[1],) if in_tuple else hidden[1]


_SKIPPING = threading.Lock()


@contextmanager
def skipping(modules: Sequence[nn.Module], in_tuples: bool = False) -> Iterator[Seen]:
    """Makes `modules` return their input unchanged inside, and lists what each received.

    Calls from other threads go through. However these come and go, the last to leave takes off
    what the first put on.
    """
    seen: Seen = []
    me = threading.get_ident()
    put_on: list[tuple[nn.Module, _Skip]] = []
    try:
        with _SKIPPING:
            for module in modules:
                skip = vars(module).get("forward")
                if not isinstance(skip, _Skip):
                    skip = _Skip(module)
                put_on.append((module, skip))
                skip.threads[me] = seen, in_tuples
                module.forward = skip
        yield seen
    finally:
        with _SKIPPING:
            for module, skip in put_on:
                skip.threads.pop(me, None)
                # Somebody else's forward may lie over ours by now; ours only passes on then.
                if skip.threads or vars(module).get("forward") is not skip:
                    continue
                if skip.replaced is None:
                    vars(module).pop("forward")
                else:
                    module.forward = skip.replaced


@contextmanager
def all_of(managers: list[Any]) -> Iterator[None]:
    """Enters all; leaves all, whatever happens."""
    with ExitStack() as stack:
        for manager in managers:
            stack.enter_context(manager)
        yield
