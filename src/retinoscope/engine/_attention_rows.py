"""Attention rows on demand: only those asked for, from a pass's keys and residuals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CapabilityError
from ..models import attending, finite, not_finite
from ._clean import Clean
from ._resolved import BlockedEdges, blocked_mask


@dataclass(frozen=True, eq=False)
class _ReadableKeys:
    """Keys that the rows can read, and which of them each row may read."""

    keys: Float[Tensor, "kv_head key d_head"]
    allowed: Bool[Tensor, "head query key"]


class _StopWithWeights(Exception):
    """Stops the block and carries its attention weights out."""

    def __init__(self, weights: Float[Tensor, "head query key"]) -> None:
        super().__init__()
        self.weights = weights


@torch.no_grad()
def attention_rows(
    clean: Clean, layer: int, rows: tuple[int, ...], blocked: tuple[BlockedEdges, ...] = ()
) -> Float[Tensor, "head query key"]:
    """Returns the attention weights of one block for some queries, after the softmax.

    Args:
        clean: the pass, which may itself have run under interventions.
        layer: the block.
        rows: positions of the queries.
        blocked: edges that were blocked in that pass.

    Raises:
        CapabilityError: the block's attention does not use the library's interface.
        NonFiniteError: the weights are NaN.
    """
    adapter = clean.adapter
    index = torch.tensor(rows)
    keys, _ = clean.keys_and_values(layer)
    allowed = _allowed(clean, layer, np.array(rows), blocked)
    try:
        with attending(adapter.text_config, partial(_attention, _ReadableKeys(keys, allowed))):
            adapter.decoder.layers[layer](
                clean.states(layer)[None, index.to(clean.device)],
                attention_mask=None,
                **clean.arguments(layer, index),
            )
    except _StopWithWeights as stop:
        if not finite(stop.weights):
            where = f"the attention weights of block {layer} at these positions"
            raise not_finite(adapter.model, where) from None
        return stop.weights
    raise CapabilityError(
        f"layer {layer} ({type(adapter.decoder.layers[layer]).__name__}) does not use the "
        "library's attention interface, so its weights cannot be read: choose other layers"
    )


def _allowed(
    clean: Clean, layer: int, rows: np.ndarray, blocked: tuple[BlockedEdges, ...]
) -> Bool[Tensor, "head query key"]:
    plain = clean.edges(layer).between(rows, np.arange(clean.n))
    active = [edges for edges in blocked if layer in edges.layers]
    mask = blocked_mask(active, rows, clean.n, clean.n, clean.adapter.n_heads)
    return torch.from_numpy(plain & ~mask).to(clean.device)


def _attention(
    readable: _ReadableKeys,
    module: nn.Module,
    query: Float[Tensor, "1 head query d_head"],
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    if s_aux is not None:
        raise CapabilityError("reading attention rows does not support attention sinks")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    copies = query.shape[1] // len(readable.keys)
    keys = readable.keys.repeat_interleave(copies, 0)
    scores = (query[0] @ keys.transpose(-1, -2)).float() * scale
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    raise _StopWithWeights(
        scores.masked_fill(~readable.allowed, -torch.inf).softmax(-1).to(query.dtype)
    )
