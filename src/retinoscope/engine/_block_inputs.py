"""The first block's input, and the other arguments that every block receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from ..models import Adapter
from ._hooks import on_input, skipping

CACHES = ("past_key_values", "past_key_value", "layer_past", "use_cache")
"""Names of the arguments that pass a cache to a block."""


@dataclass(frozen=True, eq=False)
class BlockInputs:
    """What the blocks receive in one call of the decoder.

    Attributes:
        hidden: (batch, n, d_model) the first block's input: the embeddings after scaling, learned
            positions, or whatever else the family does to them.
        arguments: each block's arguments besides hidden states and cache: rotary angles, masks.
    """

    hidden: Float[Tensor, "batch token d_model"]
    arguments: tuple[dict[str, Any], ...]


@torch.no_grad()
def block_inputs(
    adapter: Adapter,
    embeds: Float[Tensor, "batch token d_model"],
    arguments: Mapping[str, Any],
    start: int = 0,
    in_tuples: bool = False,
) -> BlockInputs:
    """Calls the decoder with all of its blocks skipped, and records what they receive.

    Args:
        adapter: the model's adapter.
        embeds: the decoder's input from position `start` on.
        arguments: further arguments of the decoder's forward pass.
        start: position of the first embedding.
        in_tuples: whether the decoder takes a block's output out of a tuple.
    """
    first: list[Tensor] = []
    layers = adapter.decoder.layers
    # Runs before other hooks on the first block; those act when the block itself is called.
    entering = on_input(layers[0], lambda hidden, _: first.append(hidden))
    with skipping(layers, in_tuples) as seen, entering:
        adapter.decode(embeds, _cache_of_length(adapter, start), **arguments)
    return BlockInputs(first[0], tuple(_without_cache(kwargs) for _, kwargs in seen))


def _without_cache(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a block's arguments without hidden states and cache."""
    return {
        name: value
        for name, value in arguments.items()
        if name not in CACHES and name != "hidden_states"
    }


def _cache_of_length(adapter: Adapter, length: int) -> DynamicCache | None:
    """Returns a cache that appears to hold `length` positions, which some decoders count from."""
    if not length:
        return None
    cache = DynamicCache()
    nothing = torch.zeros(1, 1, 1, 1, device=adapter.device).expand(1, 1, length, 1)
    for layer in range(adapter.n_layers):
        cache.update(nothing, nothing, layer)
    return cache
