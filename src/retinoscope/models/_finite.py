"""NaN and infinite values: noticed in the results, and traced to their module only then."""

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
"""No logit that means something is so small."""


def finite(values: Tensor) -> bool:
    """Whether no number is NaN or infinite."""
    if not values.numel():
        return True
    # Both ends are NaN where any number is; no mask as large as the values is made.
    low, high = values.detach().aminmax()
    return bool(torch.isfinite(low) & torch.isfinite(high))


def finite_logits(logits: Float[Tensor, "... vocab"]) -> bool:
    """Whether each row can be ranked: without NaN or +inf, and with a finite number.

    A -inf is how a head says that a token cannot come.
    """
    return finite(logits.amax(-1))


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, over the largest number of `wanted`.

    Numbers that rule a token out (-inf, or the least that a dtype holds) only have to be the same.
    """
    ruled_out = wanted < _RULED_OUT
    if not torch.equal(found < _RULED_OUT, ruled_out):
        return float("inf")
    apart = (found - wanted).masked_fill(ruled_out, 0).abs().max()
    return float(apart) / (float(wanted.masked_fill(ruled_out, 0).abs().max()) or 1.0)


def not_finite(
    model: nn.Module, what: str, again: Callable[[], object] | None = None
) -> NonFiniteError:
    """The error for numbers that are not finite, with the module where they began.

    Args:
        what: the numbers, in words: "the logits".
        again: computes them once more; it is watched.
    """
    found = None if again is None else _first(model, again)
    if found is None:
        dtype = next(model.parameters()).dtype
        return NonFiniteError(f"{what} are not finite (NaN or infinite){_advice(dtype)}")
    name, module, dtype, inside = found
    where = f"first in what {name} gives" if inside else f"first in what {name} receives"
    said = f"{what} are not finite (NaN or infinite), {where} ({_named(dtype)})"
    if inside and not all(finite(one) for one in (*module.parameters(), *module.buffers())):
        return NonFiniteError(
            f"{said}: its own weights are not finite: load other weights, or undo what changed them"
        )
    return NonFiniteError(said + _advice(dtype))


def encoded(adapter: Adapter, pixels: Sequence[Mapping[str, Tensor]]) -> list[EncodedImage]:
    """`adapter.encode(pixels)`, held to be finite.

    Raises:
        InputError: pixels that the vision tower cannot take.
        NonFiniteError: naming the first module of vision tower or projector where it is not.
    """
    try:
        found = adapter.encode(pixels)
    except (ValueError, RuntimeError, IndexError) as error:
        if isinstance(error, RetinoscopeError) or is_out_of_memory(error):
            raise
        text = " ".join(str(error).split())
        raise InputError(
            f"the vision tower cannot take what the processor makes of an image ({text}): the "
            "processor belongs to another model"
        ) from error
    if not all(map(finite, _tensors(found))):
        what = "the visual features of an image"
        raise not_finite(adapter.model, what, lambda: adapter.encode(pixels))
    return found


def _advice(dtype: torch.dtype) -> str:
    if dtype == torch.float16:
        return ": numbers overflow in float16: load the model in bfloat16 or float32 (dtype=)"
    if dtype == torch.bfloat16:
        return ": load the model in float32 (dtype=), and look at its weights"
    return ": look at the model's weights, and at what was put into the pass"


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


Found = tuple[str, nn.Module, torch.dtype, bool]


def _first(model: nn.Module, again: Callable[[], object]) -> Found | None:
    """The first module that makes such numbers of finite ones, or that receives some.

    With its name, their dtype, and whether it made them.
    """
    names = {module: name or type(model).__name__ for name, module in model.named_modules()}
    found: list[Found] = []
    clean: dict[nn.Module, bool] = {}

    def before(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        # Masks may hold -inf, and are no activations.
        given = [args, *(value for key, value in kwargs.items() if "mask" not in key)]
        bad = next((one for one in _tensors(given) if not finite(one)), None)
        clean[module] = bad is None
        if bad is not None:
            found.append((names[module], module, bad.dtype, False))

    def after(module: nn.Module, _: Any, output: Any) -> None:
        if not clean.get(module, True):
            return
        bad = next((one for one in _tensors(output) if not finite(one)), None)
        if bad is not None:
            found.append((names[module], module, bad.dtype, True))

    # The numbers were computed before: another failure of the same would say less.
    with suppress(Exception), torch.no_grad(), hooked(names, before=before, after=after):
        again()
    return found[0] if found else None


def _tensors(things: Any) -> Iterator[Tensor]:
    if isinstance(things, Tensor):
        if things.is_floating_point():
            yield things
    elif isinstance(things, Mapping):
        yield from _tensors(list(things.values()))
    elif isinstance(things, EncodedImage):
        yield from _tensors((things.embeddings, things.added, things.read))
    elif isinstance(things, list | tuple):
        for one in things:
            yield from _tensors(one)
