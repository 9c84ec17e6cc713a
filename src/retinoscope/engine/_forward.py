"""The plain forward pass with interventions: the reference for everything faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import Cache, DynamicCache

from ..errors import CapabilityError, NonFiniteError
from ..models import Adapter, finite_logits, hooked, not_finite
from ._hooks import all_of, on_attention_mask, on_input, on_output
from ._resolved import ResolvedCondition, blocked_mask


@dataclass(eq=False)
class Trace:
    """A record of a forward pass.

    Attributes:
        hidden: layers + 1 tensors (batch, token, d_model) before the final norm, or the last alone.
        in_tuples: whether the decoder takes a block's output out of a tuple.
        only_last: record only the last block's output.
    """

    hidden: list[Tensor] = field(default_factory=list)
    in_tuples: bool = False
    only_last: bool = False


def new_cache(adapter: Adapter) -> DynamicCache:
    """Returns an empty cache of keys and values.

    If all blocks attend, each of them caches all keys: a sliding window is applied by the mask
    alone, so that it can be read back. Other blocks need their own kind of cache.
    """
    kinds = getattr(adapter.text_config, "layer_types", None) or ()
    if all(str(kind).endswith("attention") and "linear" not in str(kind) for kind in kinds):
        return DynamicCache()
    return DynamicCache(config=adapter.text_config)


def keys_and_values(cache: DynamicCache, layer: int) -> tuple[Tensor, Tensor]:
    """Returns (batch, head, token, d_head) keys and values of one attention layer.

    Raises:
        CapabilityError: the layer caches something else (it is recurrent or convolutional).
    """
    cached = cache.layers[layer]
    keys, values = getattr(cached, "keys", None), getattr(cached, "values", None)
    if not isinstance(keys, Tensor) or not isinstance(values, Tensor):
        raise CapabilityError(f"layer {layer} keeps no keys and values: choose other layers")
    return keys, values


class ConditionBatch:
    """Conditions that go through the decoder together, one batch row each.

    Their edits act on the prompt's pass and while tokens are generated; `start` is the number of
    positions already in the cache.
    """

    def __init__(self, adapter: Adapter, n: int, conditions: Sequence[ResolvedCondition]) -> None:
        self.adapter = adapter
        self.n = n
        self.conditions = conditions
        self.start = 0
        self._masks: dict[object, Bool[Tensor, "batch head query key"] | None] = {}

    def embeds(
        self, embeddings: Float[Tensor, "token d_model"]
    ) -> Float[Tensor, "batch token d_model"]:
        """Returns the decoder's input under the ablations."""
        embeds = embeddings.repeat(len(self.conditions), 1, 1)
        for row, condition in enumerate(self.conditions):
            if condition.inputs is not None:
                embeds[row, condition.inputs.positions] = condition.inputs.values
        return embeds

    def arguments(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the decoder's other arguments, with those of ablated embeddings replaced."""
        deepstack = given.get("deepstack")
        edits = [
            (row, condition.inputs.positions, condition.inputs.added)
            for row, condition in enumerate(self.conditions)
            if condition.inputs is not None
        ]
        if deepstack is None or not edits:
            return given
        return {**given, "deepstack": deepstack.replaced(len(self.conditions), edits)}

    def advance(self, start: int) -> None:
        """Sets the first position of the next pass."""
        self.start = start
        self._masks.clear()

    def keep(self, rows: Sequence[int]) -> None:
        """Keeps only these conditions."""
        self.conditions = [self.conditions[row] for row in rows]
        self._masks.clear()

    def managers(self) -> list[AbstractContextManager[None]]:
        """Returns the hooks that the knockouts and patches need, and no others."""
        decoder = self.adapter.decoder
        hooks: list[AbstractContextManager[None]] = []
        for layer in range(self.adapter.n_layers + 1):
            if any(layer in condition.patches for condition in self.conditions):
                hooks.append(self._patch(layer))
            blocked = [edges for condition in self.conditions for edges in condition.blocked]
            if any(layer in edges.layers for edges in blocked):
                hooks.append(
                    on_attention_mask(
                        decoder.attention(layer),
                        lambda hidden, mask, layer=layer: self._mask(layer, hidden, mask),
                    )
                )
        return hooks

    def _patch(self, layer: int) -> AbstractContextManager[None]:
        def edit(hidden: Tensor) -> Tensor | None:
            if self.start:
                return None
            hidden = hidden.clone()
            for row, condition in enumerate(self.conditions):
                for replaced in condition.patches.get(layer, ()):
                    values = replaced.values.to(hidden)
                    hidden[row, replaced.positions.to(hidden.device)] = values
            return hidden

        layers = self.adapter.decoder.layers
        if layer < len(layers):
            return on_input(layers[layer], lambda hidden, _: edit(hidden))
        return on_output(layers[-1], edit)

    def _mask(self, layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor | None:
        n_queries = hidden.shape[1]
        rows = np.arange(self.start, self.start + n_queries)
        active = tuple(
            tuple(i for i, edges in enumerate(condition.blocked) if layer in edges.layers)
            for condition in self.conditions
        )
        key = (active, n_queries)
        if key not in self._masks:
            self._masks[key] = self._blocked(active, rows)
        blocked = self._masks[key]
        if blocked is None:
            return None
        return join_masks(mask, blocked.to(hidden.device), self.start, hidden)

    def _blocked(self, active: Sequence[Sequence[int]], rows: np.ndarray) -> Tensor | None:
        n_keys = int(rows[-1]) + 1
        heads = self.adapter.n_heads
        parts = [
            blocked_mask([condition.blocked[i] for i in chosen], rows, n_keys, self.n, heads)
            for condition, chosen in zip(self.conditions, active, strict=True)
        ]
        if not any(part.any() for part in parts):
            return None
        most = max(len(part) for part in parts)
        whole = [np.broadcast_to(part, (most, *part.shape[1:])) for part in parts]
        return torch.from_numpy(np.stack(whole))


def join_masks(
    mask: Tensor | None,
    blocked: Bool[Tensor, "batch head query key"],
    start: int,
    like: Tensor,
) -> Tensor:
    """Returns the model's own mask with edges blocked, in the form that the model uses.

    No mask means causal attention under scaled-dot-product attention; a bool mask is True where
    attention is allowed; a float mask is added to the scores, so False would *allow* an edge.
    """
    n_queries, n_keys = blocked.shape[-2:]
    if mask is None:
        queries = torch.arange(start, start + n_queries, device=blocked.device)
        keys = torch.arange(n_keys, device=blocked.device)
        return (keys <= queries[:, None]) & ~blocked
    # A cache of fixed size has more keys than have been computed so far.
    if mask.shape[-1] > n_keys:
        blocked = torch.nn.functional.pad(blocked, (0, mask.shape[-1] - n_keys))
    if mask.dtype == torch.bool:
        return mask & ~blocked
    shape = torch.broadcast_shapes(mask.shape, blocked.shape)
    return mask.expand(shape).masked_fill(blocked, torch.finfo(like.dtype).min)


@torch.no_grad()
def forward(
    adapter: Adapter,
    embeds: Float[Tensor, "batch token d_model"],
    arguments: Mapping[str, Any],
    *,
    batch: ConditionBatch | None = None,
    cache: Cache | None = None,
    trace: Trace | None = None,
) -> Float[Tensor, "batch vocab"]:
    """Returns float32 logits of the last position; fills `cache` and `trace` if given.

    Args:
        adapter: the model's adapter.
        embeds: the decoder's input.
        arguments: other arguments of the decoder, from `Adapter.arguments`.
        batch: the conditions of the batch rows.
        cache: keys and values of earlier positions.
        trace: record of the pass.

    Raises:
        NonFiniteError: the logits are NaN or infinite; the message names the module where it began.
    """
    given = arguments if batch is None else batch.arguments(arguments)
    before = 0 if cache is None else cache.get_seq_length()

    def called(cache: Cache | None, trace: Trace | None) -> Float[Tensor, "batch vocab"]:
        edits = [] if batch is None else batch.managers()
        # States must be recorded after the edits: of input hooks, the one added last runs first.
        inputs, last = ([], []) if trace is None else _tracing(adapter, trace)
        with all_of([*inputs, *edits, *last]):
            hidden = adapter.decode(embeds, cache, **given)
        return adapter.unembed(hidden[:, -1])

    def again() -> None:
        if before:
            assert isinstance(cache, DynamicCache)
            cache.crop(before)
        called(cache if before else None, None)

    logits = called(cache, trace)
    if not finite_logits(logits):
        raise _not_finite(adapter, embeds, logits, again)
    return logits


def _not_finite(
    adapter: Adapter,
    embeds: Float[Tensor, "batch token d_model"],
    logits: Float[Tensor, "batch vocab"],
    again: Callable[[], None],
) -> NonFiniteError:
    """Returns the error for logits that are not finite, saying where that began."""
    wrong = (~torch.isfinite(embeds)).any(-1).nonzero()
    if len(wrong):
        row, place = wrong[0].tolist()
        return NonFiniteError(
            f"the decoder's input at position {place} of row {row} is not finite (NaN or "
            f"infinite, {str(embeds.dtype).removeprefix('torch.')}): look at the embedding there, "
            "or at the fill or donor that replaced it"
        )
    rows = (~torch.isfinite(logits.amax(-1))).nonzero().flatten().tolist()
    what = "the logits" if len(logits) == 1 else f"the logits of row {rows[0]} of {len(logits)}"
    return not_finite(adapter.model, what, again)


def _tracing(
    adapter: Adapter, trace: Trace
) -> tuple[list[AbstractContextManager[None]], list[AbstractContextManager[None]]]:
    """Returns hooks that record each block's input, and the last one's output."""
    layers = adapter.decoder.layers

    def last(_: nn.Module, __: Any, output: Any) -> None:
        trace.in_tuples = isinstance(output, tuple)
        trace.hidden.append(output[0] if trace.in_tuples else output)

    inputs: list[AbstractContextManager[None]] = [
        on_input(layer, lambda hidden, _: trace.hidden.append(hidden))
        for layer in ([] if trace.only_last else layers)
    ]
    return inputs, [hooked(layers[-1:], after=last)]
