"""A pass with gradients that records the states, or attention weights, of all blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..engine import Run
from ..errors import CapabilityError
from ..models import attending, entering, hooked
from ..tokens import check_gradients, close, frozen, visual

Read = Callable[[Float[Tensor, "batch row d_model"]], Float[Tensor, " batch"]]


@dataclass(frozen=True, eq=False)
class StateTrace:
    """Residual streams, and a score's gradients at them; one item per layer.

    Attributes:
        states, gradients: layers 0 (the decoder's input) to L - 1 (the last block's input), each
            (n, d_model).
    """

    states: tuple[Float[Tensor, "token d_model"], ...]
    gradients: tuple[Float[Tensor, "token d_model"], ...]


@dataclass(frozen=True, eq=False)
class AttentionTrace:
    """Attention weights after the softmax, and a score's gradients at them; one item per block.

    Attributes:
        weights, gradients: each (head, n, n), query by key.
    """

    weights: tuple[Float[Tensor, "head query key"], ...]
    gradients: tuple[Float[Tensor, "head query key"], ...]


def state_trace(run: Run, rows: tuple[int, ...], read: Read) -> StateTrace:
    """Runs one forward and one backward pass over the whole run.

    Raises:
        InputError: the run has no image.
        CapabilityError: the model does not allow gradients, or its decoder called by itself does
            not reproduce the run's states.
    """
    run.vlm.capabilities.require("gradients")
    visual(run)
    run.require_current()
    states: list[Tensor] = []
    layers = run.adapter.decoder.layers

    def keep(module: nn.Module, args: tuple, kwargs: dict) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])

    model = run.adapter.model
    with entering(model), hooked(layers, before=keep), frozen(model), torch.enable_grad():
        value = _value(run, rows, read)
        gradients = torch.autograd.grad(value, states, materialize_grads=True)
    check_gradients(model, value.detach(), *gradients)
    return StateTrace(tuple(state.detach()[0] for state in states), tuple(g[0] for g in gradients))


def attention_trace(run: Run, rows: tuple[int, ...], read: Read) -> AttentionTrace:
    """As `state_trace` for attention weights, by the library's eager attention, which returns them.

    Raises:
        InputError: the run has no image.
        CapabilityError: as `state_trace`, or attention cannot be read, or a block does not attend
            or returns no weights.
    """
    for method in ("gradients", "attention"):
        run.vlm.capabilities.require(method)
    visual(run)
    run.require_current()
    decoder, weights = run.adapter.decoder, []

    def keep(module: nn.Module, args: tuple, output: object) -> None:
        returned = output[1] if isinstance(output, tuple) and len(output) > 1 else None
        if not isinstance(returned, Tensor):
            raise CapabilityError(
                f"{type(module).__name__} returns no attention weights, so that gradients cannot "
                "be taken to them: choose another method"
            )
        weights.append(returned)

    modules = [decoder.attention(layer) for layer in range(run.adapter.n_layers)]
    model = run.adapter.model
    with (
        entering(model),
        hooked(modules, after=keep),
        attending(run.adapter.text_config, None),
        frozen(model),
        torch.enable_grad(),
    ):
        value = _value(run, rows, read)
        gradients = torch.autograd.grad(value, weights, materialize_grads=True)
    check_gradients(model, value.detach(), *gradients)
    return AttentionTrace(
        tuple(tensor.detach()[0] for tensor in weights), tuple(g[0] for g in gradients)
    )


def _value(run: Run, rows: tuple[int, ...], read: Read) -> Tensor:
    """Reads the score at the run's own embeddings; checks that the pass reproduces the run's last
    states, since otherwise its gradients are not the run's."""
    adapter = run.adapter
    with torch.no_grad():
        expected = adapter.decoder.final_norm(run.hidden(adapter.n_layers)[list(rows)])
    leaf = run.embeddings.detach()[None].clone().requires_grad_(True)
    output = adapter.decode(leaf, None, **adapter.arguments(run.inputs, 0, run.n))
    last = output[:, list(rows)]
    if not close(last[0].detach(), expected):
        raise CapabilityError(
            f"{type(adapter.model).__name__}: the decoder called with the run's input does not "
            "reproduce the run's states, so its gradients would not be the run's"
        )
    return read(last)[0]
