"""Attention weights, recomputed where a module does not give them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def attention_weights(
    query: Float[Tensor, "*batch query width"],
    key: Float[Tensor, "*batch key width"],
    n_heads: int,
    hidden: Bool[Tensor, "*#batch query key"] | None = None,
) -> Float[Tensor, "*batch head query key"]:
    """Softmax of the scaled products, with the width divided among the heads.

    Args:
        hidden: True where a query may not read a key.
    """
    heads = query.unflatten(-1, (n_heads, -1)).transpose(-2, -3)
    keys = key.unflatten(-1, (n_heads, -1)).transpose(-2, -3)
    scores = heads @ keys.transpose(-1, -2) * heads.shape[-1] ** -0.5
    if hidden is not None:
        scores = scores.masked_fill(hidden.unsqueeze(-3), -torch.inf)
    return scores.softmax(-1)
