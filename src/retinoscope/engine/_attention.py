"""Attention rows on demand: only the rows asked for, from a pass's keys and residuals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from ..errors import CapabilityError
from ..models import Adapter
from ._forward import Trace, join_masks, keys_and_values
from ._plan import Cut, blocked


class _Given:
    """A cache that answers with keys and values it was given, whatever a layer computes."""

    is_compileable = False

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def update(self, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return self.keys, self.values

    def get_seq_length(self, *_: Any) -> int:
        return self.keys.shape[-2]


@contextmanager
def eager_attention(adapter: Adapter) -> Iterator[None]:
    """The decoder computes attention weights openly inside; its own way is back afterwards."""
    config = adapter.text_config
    before = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        yield
    finally:
        config._attn_implementation = before


@torch.no_grad()
def attention_rows(
    adapter: Adapter,
    trace: Trace,
    cache: DynamicCache,
    layer: int,
    rows: tuple[int, ...],
    cuts: tuple[Cut, ...] = (),
) -> Float[Tensor, "head query key"]:
    """Attention weights of one layer for some queries, after the softmax.

    Args:
        trace, cache: of a pass with a batch of 1.
        rows: positions of the queries.
        cuts: edges that were blocked in that pass.

    Raises:
        CapabilityError: the layer's attention does not return its weights.
    """
    index = torch.tensor(rows, device=trace.hidden[layer].device)
    hidden = trace.hidden[layer][:, index]
    n_keys = trace.hidden[layer].shape[1]
    keys, values = keys_and_values(cache, layer)
    arguments = {
        name: _rows_of(name, value, index) for name, value in trace.arguments[layer].items()
    }
    arguments["attention_mask"] = _mask(
        adapter, trace.arguments[layer].get("attention_mask"), index, n_keys, layer, cuts, hidden
    )
    seen: list[Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        if isinstance(output, tuple) and len(output) > 1 and isinstance(output[1], Tensor):
            seen.append(output[1])

    handle = adapter.decoder.attention(layer).register_forward_hook(keep)
    try:
        with eager_attention(adapter):
            adapter.decoder.layers[layer](
                hidden, past_key_values=_Given(keys, values), use_cache=True, **arguments
            )
    finally:
        handle.remove()
    if not seen:
        raise CapabilityError(
            f"layer {layer} ({type(adapter.decoder.attention(layer)).__name__}) does not return "
            "its attention weights: use another model family"
        )
    return seen[0][0]


def _mask(
    adapter: Adapter,
    own: Tensor | None,
    rows: Tensor,
    n_keys: int,
    layer: int,
    cuts: tuple[Cut, ...],
    like: Tensor,
) -> Float[Tensor, "batch head query key"]:
    """The additive mask of these rows, cuts included."""
    if own is None:
        allowed = torch.arange(n_keys, device=rows.device) <= rows[:, None]
    elif own.dtype == torch.bool:
        allowed = own[:, :, rows, :n_keys]
    else:
        allowed = own[:, :, rows, :n_keys] > torch.finfo(own.dtype).min / 2
    floor = torch.finfo(like.dtype).min
    added = torch.zeros(allowed.shape, dtype=like.dtype, device=like.device)
    added = added.masked_fill(~allowed.to(like.device), floor)
    added = added.view((1,) * (4 - added.ndim) + added.shape)
    active = [cut for cut in cuts if layer in cut.layers]
    if active:
        found = blocked(active, rows.cpu().numpy(), n_keys, n_keys, adapter.n_heads)
        cut = torch.from_numpy(np.ascontiguousarray(found))[None].to(like.device)
        added = join_masks(added, cut, 0, like)
    return added


def _rows_of(name: str, value: Any, rows: Tensor) -> Any:
    """An argument of a layer, cut to some positions."""
    if name == "position_embeddings":
        return tuple(part[..., rows.to(part.device), :] for part in value)
    if name in ("position_ids", "cache_position") and isinstance(value, Tensor):
        return value[..., rows.to(value.device)]
    return value
