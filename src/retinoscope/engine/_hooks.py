"""Forward hooks that a context manager always takes off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from ..errors import CapabilityError

HiddenEdit = Callable[[Tensor], Tensor | None]


@contextmanager
def on_input(module: nn.Module, edit: Callable[[Tensor, dict[str, Any]], Tensor | None]):
    """`edit(hidden, kwargs)` sees what `module` receives; a tensor it returns replaces `hidden`."""

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]):
        hidden = args[0] if args else kwargs["hidden_states"]
        new = edit(hidden, kwargs)
        if new is None:
            return None
        if args:
            return (new, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": new}

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def on_output(module: nn.Module, edit: HiddenEdit) -> Iterator[None]:
    """`edit(hidden)` sees the first output of `module`; a tensor it returns replaces it."""

    def hook(_: nn.Module, __: tuple[Any, ...], output: Any):
        several = isinstance(output, tuple)
        new = edit(output[0] if several else output)
        if new is None:
            return None
        return (new, *output[1:]) if several else new

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


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

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def skipping(
    modules: Sequence[nn.Module],
) -> Iterator[list[tuple[Tensor, dict[str, Any]]]]:
    """Inside, `modules` hand on the hidden states that they get; what each got is in the list."""
    seen: list[tuple[Tensor, dict[str, Any]]] = []

    def skip(hidden: Tensor, **kwargs: Any) -> Tensor:
        seen.append((hidden, kwargs))
        return hidden

    # A module may carry a forward of its own already (models that are spread over devices do).
    own = [vars(module).get("forward") for module in modules]
    try:
        for module in modules:
            module.forward = skip
        yield seen
    finally:
        for module, forward in zip(modules, own, strict=True):
            if forward is None:
                vars(module).pop("forward", None)
            else:
                module.forward = forward


@contextmanager
def all_of(managers: list[Any]) -> Iterator[None]:
    """Enters all; leaves all, whatever happens."""
    with ExitStack() as stack:
        for manager in managers:
            stack.enter_context(manager)
        yield
