"""NaN and infinite values: detected in the results, and only then traced to a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError, NonFiniteError, RetinoscopeError
from ..memory import is_out_of_memory
from ._encoded import EncodedImage
from ._entering import hooked

if TYPE_CHECKING:
    from ._adapter import Adapter


_RULED_OUT = torch.finfo(torch.float16).min / 2
"""No meaningful logit is this small."""


def finite(values: Tensor) -> bool:
    """Whether no number is NaN or infinite."""
    if not values.numel():
        return True
    # Both ends are NaN if any number is; this avoids a mask as large as the values.
    low, high = values.detach().aminmax()
    return bool(torch.isfinite(low) & torch.isfinite(high))


def finite_logits(logits: Float[Tensor, "... vocab"]) -> bool:
    """Whether each row can be ranked: no NaN or +inf, and at least one finite number.

    A -inf is a head's way to exclude a token.
    """
    return finite(logits.amax(-1))


def difference(actual: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest number of `expected`.

    Numbers that exclude a token (-inf, or the lowest of a dtype) only have to coincide.
    """
    ruled_out = expected < _RULED_OUT
    if not torch.equal(actual < _RULED_OUT, ruled_out):
        return float("inf")
    apart = (actual - expected).masked_fill(ruled_out, 0).abs().max()
    return float(apart) / (float(expected.masked_fill(ruled_out, 0).abs().max()) or 1.0)


def not_finite(
    model: nn.Module, what: str, again: Callable[[], object] | None = None
) -> NonFiniteError:
    """Builds the error for numbers that are not finite, naming the module where they began.

    Args:
        what: the numbers, in words: "the logits".
        again: computes them once more, under observation.
    """
    origin = None if again is None else _first(model, again)
    if origin is None:
        dtype = next(model.parameters()).dtype
        return NonFiniteError(f"{what} are not finite (NaN or infinite){_advice(dtype)}")
    name, module, dtype, inside = origin
    where = f"first in the output of {name}" if inside else f"first in the input of {name}"
    message = f"{what} are not finite (NaN or infinite), {where} ({_named(dtype)})"
    if inside and not all(finite(weights) for weights in (*module.parameters(), *module.buffers())):
        return NonFiniteError(
            f"{message}: its own weights are not finite: load other weights, or undo their change"
        )
    return NonFiniteError(message + _advice(dtype))


def encoded(adapter: Adapter, pixels: Sequence[Mapping[str, Tensor]]) -> list[EncodedImage]:
    """Returns `adapter.encode(pixels)`, checked to be finite.

    Raises:
        InputError: pixels that the vision tower cannot take.
        NonFiniteError: not finite; names the first such module of vision tower or projector.
    """
    try:
        images = adapter.encode(pixels)
    except (ValueError, RuntimeError, IndexError) as error:
        if isinstance(error, RetinoscopeError) or is_out_of_memory(error):
            raise
        text = " ".join(str(error).split())
        raise InputError(
            f"the vision tower cannot take the processor's output for an image ({text}): the "
            "processor belongs to another model"
        ) from error
    if not all(map(finite, _tensors(images))):
        what = "the visual features of an image"
        raise not_finite(adapter.model, what, lambda: adapter.encode(pixels))
    return images


def _advice(dtype: torch.dtype) -> str:
    if dtype == torch.float16:
        return ": numbers overflow in float16: load the model in bfloat16 or float32 (dtype=)"
    if dtype == torch.bfloat16:
        return ": load the model in float32 (dtype=), and check its weights"
    return ": check the model's weights, and any values that were put into the pass"


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


Origin = tuple[str, nn.Module, torch.dtype, bool]


def _first(model: nn.Module, again: Callable[[], object]) -> Origin | None:
    """The first module that turns finite numbers into others, or that receives such.

    Returns its name, the module, their dtype, and whether it made them.
    """
    names = {module: name or type(model).__name__ for name, module in model.named_modules()}
    origins: list[Origin] = []
    clean: dict[nn.Module, bool] = {}

    def before(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        # Masks may hold -inf and are not activations.
        given = [args, *(value for key, value in kwargs.items() if "mask" not in key)]
        bad = next((values for values in _tensors(given) if not finite(values)), None)
        clean[module] = bad is None
        if bad is not None:
            origins.append((names[module], module, bad.dtype, False))

    def after(module: nn.Module, _: Any, output: Any) -> None:
        if not clean.get(module, True):
            return
        bad = next((values for values in _tensors(output) if not finite(values)), None)
        if bad is not None:
            origins.append((names[module], module, bad.dtype, True))

    # The numbers were computed before, so a failure here would only hide the original error.
    with suppress(Exception), torch.no_grad(), hooked(names, before=before, after=after):
        again()
    return origins[0] if origins else None


def _tensors(things: Any) -> Iterator[Tensor]:
    if isinstance(things, Tensor):
        if things.is_floating_point():
            yield things
    elif isinstance(things, Mapping):
        yield from _tensors(list(things.values()))
    elif isinstance(things, EncodedImage):
        yield from _tensors((things.embeddings, things.added, things.read))
    elif isinstance(things, list | tuple):
        for thing in things:
            yield from _tensors(thing)
