"""What precedes the positions that gradients are about: keys and values that are computed once."""

from __future__ import annotations

import copy
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ..errors import CapabilityError
from ..models import Adapter
from ._choose import RunLike


class RunWithStates(RunLike, Protocol):
    """A run with a readable residual stream, which shows that gradients belong to it."""

    @property
    def logits(self) -> Float[Tensor, " vocab"]: ...
    def hidden(self, layer: int) -> Float[Tensor, "token d_model"]: ...


_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Allowed difference between batch shapes, relative to the largest number; 5e-2 below float32."""


@torch.no_grad()
def fixed_prefix(run: RunWithStates, stop: int) -> DynamicCache | None:
    """Keys and values of the positions before `stop`, which later positions do not change.

    None if there are no such positions, if a block keeps state other than keys and values, if
    an earlier position attends to a later one, or if the keys depend on the length of the text.
    """
    adapter, inputs = run.adapter, run.inputs
    if not stop or not _attends_everywhere(adapter):
        return None
    if adapter.angles(inputs, stop) != adapter.angles(inputs, len(run.embeddings)):
        return None
    cache = DynamicCache()
    arguments = adapter.arguments(inputs, 0, stop)
    alone = adapter.decode(run.embeddings[None, :stop], cache, **arguments)[0]
    wanted = adapter.decoder.final_norm(run.hidden(adapter.n_layers)[:stop])
    # Blocks that share keys keep none of their own.
    plain = all(type(layer) is DynamicLayer and layer.is_initialized for layer in cache.layers)
    return cache if plain and close(alone, wanted) else None


def expanded(prefix: DynamicCache, batch: int) -> DynamicCache:
    """Shares the prefix's keys and values, without copying, with every item of a batch."""
    cache = copy.copy(prefix)
    cache.layers = [copy.copy(layer) for layer in prefix.layers]
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        layer.keys = layer.keys.expand(batch, -1, -1, -1)
        layer.values = layer.values.expand(batch, -1, -1, -1)
    return cache


def backward_cost(adapter: Adapter, rows: int, keys: int) -> int:
    """An upper bound on the bytes that one item of a batch keeps for the backward pass.

    Args:
        adapter: the model's adapter.
        rows: number of positions that are computed.
        keys: number of positions that they read.
    """
    inner = int(getattr(adapter.text_config, "intermediate_size", 0) or 4 * adapter.d_model)
    numbers = 16 * adapter.d_model + 5 * inner
    if adapter.attention_implementation == "eager":
        numbers += 3 * adapter.n_heads * keys
    return adapter.n_layers * rows * numbers * 4


def close(actual: Tensor, wanted: Tensor) -> bool:
    """Whether two tensors agree up to the rounding of different batch shapes."""
    limit = _TOLERANCE.get(wanted.dtype, 5e-2) * float(wanted.abs().max())
    return float((actual - wanted.to(actual.device)).abs().max()) <= limit


def _attends_everywhere(adapter: Adapter) -> bool:
    try:
        for layer in range(adapter.n_layers):
            adapter.decoder.attention(layer)
    except CapabilityError:
        return False
    return True
