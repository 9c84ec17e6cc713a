"""Forward hooks, removed by a context manager, that act in one thread only."""

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
    """Calls `edit(hidden, kwargs)` on the input of `module`; a returned tensor replaces `hidden`.

    Runs before the hooks that are there already, since they belong to the module. Of several, the
    one added last runs first.
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
    """Calls `edit(hidden)` on the first output of `module`; a returned tensor replaces it."""

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
    """Calls `edit(hidden, mask)` on an attention module's input; a returned mask replaces its own.

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
        # A module may already have its own forward (in models spread over devices).
        self.replaced = vars(module).get("forward")
        self.threads: dict[int, tuple[Seen, bool]] = {}
        self._forward = module.forward
        self._signature = inspect.signature(type(module).forward)
        self._module = module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = self.threads.get(threading.get_ident())
        if request is None:
            return self._forward(*args, **kwargs)
        seen, in_tuple = request
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

    Calls from other threads pass through. In whatever order threads enter and leave, the last one
    to leave restores the modules.
    """
    seen: Seen = []
    thread = threading.get_ident()
    skips: list[tuple[nn.Module, _Skip]] = []
    try:
        with _SKIPPING:
            for module in modules:
                skip = vars(module).get("forward")
                if not isinstance(skip, _Skip):
                    skip = _Skip(module)
                skips.append((module, skip))
                skip.threads[thread] = seen, in_tuples
                module.forward = skip
        yield seen
    finally:
        with _SKIPPING:
            for module, skip in skips:
                skip.threads.pop(thread, None)
                # If another forward has been put over this one, leave it: it passes calls through.
                if skip.threads or vars(module).get("forward") is not skip:
                    continue
                if skip.replaced is None:
                    vars(module).pop("forward")
                else:
                    module.forward = skip.replaced


@contextmanager
def all_of(managers: list[Any]) -> Iterator[None]:
    """Enters all managers, and leaves them all whatever happens."""
    with ExitStack() as stack:
        for manager in managers:
            stack.enter_context(manager)
        yield
