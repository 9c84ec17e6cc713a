"""Tokens after a prompt, one position at a time, with interventions active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from ..models import Adapter, Inputs, finite_logits, not_finite
from ._condition_groups import ConditionGroup, KVSource
from ._forward import ConditionBatch, forward
from ._incremental import Incremental, call_block
from ._recompute import Rows
from ._segment_attention import KVSegment, PackedBatch, PackedGroup, RaggedSegment


class Steps(Protocol):
    """Continues after the prompt, for the conditions whose text has not ended."""

    def next(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        """Returns float32 logits after one more token for each condition."""
        ...

    def keep(self, indices: Sequence[int]) -> None:
        """Keeps only the conditions at these indices."""
        ...


class PlainSteps:
    """Steps over a cache with every condition's keys and values: the reference path."""

    def __init__(
        self, adapter: Adapter, inputs: Inputs, cache: DynamicCache, batch: ConditionBatch
    ) -> None:
        self._adapter, self._inputs, self._cache, self._batch = adapter, inputs, cache, batch
        self._position = len(inputs.input_ids)

    def next(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        start = self._position
        self._position += 1
        self._batch.advance(start)
        embeds = self._adapter.embedding(tokens.to(self._adapter.device))[:, None]
        arguments = self._adapter.arguments(self._inputs, start, start + 1)
        return forward(self._adapter, embeds, arguments, batch=self._batch, cache=self._cache)

    def keep(self, indices: Sequence[int]) -> None:
        index = torch.tensor(indices, device=self._adapter.device)
        self._cache.batch_select_indices(index)
        self._batch.keep(indices)


class IncrementalSteps:
    """Steps over the clean run's keys and values, stored once, and each condition's own.

    Args:
        prompt: has gone through the prompt with `keep=True`.
        most: maximum number of steps.
    """

    def __init__(self, prompt: Incremental, most: int) -> None:
        clean = prompt.clean
        clean.reserve(clean.n + most)
        source = KVSource(clean, prompt.conditions, prompt.cache)
        self._clean = clean
        self._alive = tuple(range(len(prompt.conditions)))
        self._n_done = 0
        self._blocks = [
            _GeneratedKV(source, layer, most) for layer in range(clean.adapter.n_layers)
        ]

    @torch.no_grad()
    def next(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        logits = self._through(tokens)
        if not finite_logits(logits):
            model = self._clean.adapter.model
            what = f"the logits of generated token {self._n_done + 2}"
            raise not_finite(model, what, lambda: self._through(tokens))
        self._n_done += 1
        return logits

    def _through(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        clean, position = self._clean, self._clean.n + self._n_done
        embeds = clean.adapter.embedding(tokens.to(clean.adapter.device))
        hidden = clean.entering_next(embeds, position)
        rows = Rows(np.array([position]))
        positions = torch.full((len(hidden),), position)
        for layer, block in enumerate(self._blocks):
            packed = block.packed(self._alive, rows, self._n_done)
            hidden = call_block(clean, layer, hidden, positions, PackedBatch([packed]))
            block.write(packed, self._n_done)
        return clean.adapter.read_out(hidden)

    def keep(self, indices: Sequence[int]) -> None:
        self._alive = tuple(self._alive[index] for index in indices)
        for block in self._blocks:
            block.keep(indices)


class _GeneratedKV:
    """One block's keys and values of generated tokens, and what else a new row reads there."""

    def __init__(self, source: KVSource, layer: int, most: int) -> None:
        self._source, self._layer, self._most = source, layer, most
        self._generated: tuple[Tensor, Tensor] | None = None
        self._of_prompt: list[KVSegment | RaggedSegment] | None = None

    def packed(self, alive: tuple[int, ...], rows: Rows, n_done: int) -> PackedGroup:
        """Returns the next row of each condition, with what it reads."""
        source, layer = self._source, self._layer
        blocked = any(
            edges.generated and layer in edges.layers
            for member in alive
            for edges in source.conditions[member].blocked
        )
        group = ConditionGroup(alive, rows, blocked)
        segments = self._of_prompt or source.segments(layer, group, rows, None)
        # If generated rows read everything before them, all of them read the same segments.
        if not blocked and source.clean.edges(layer).allowed is None:
            self._of_prompt = segments
        segments = list(segments)
        if self._generated is not None:
            positions = np.arange(source.clean.n, source.clean.n + n_done)
            keys, values = (kind[:, :, :n_done] for kind in self._generated)
            allowed = source.allowed(layer, group, rows, positions)
            segments.append(KVSegment(keys, values, allowed))
        return PackedGroup(slice(0, len(alive)), len(alive), segments, None)

    def write(self, packed: PackedGroup, n_done: int) -> None:
        """Stores the keys and values that the block has just computed."""
        assert packed.computed is not None
        if self._generated is None:
            keys, values = packed.computed
            self._generated = self._room(keys), self._room(values)
        for room, new in zip(self._generated, packed.computed, strict=True):
            room[:, :, n_done] = new[:, :, 0]

    def _room(self, like: Float[Tensor, "batch kv_head 1 d_head"]) -> Tensor:
        batch, heads, _, width = like.shape
        return like.new_empty(batch, heads, self._most, width)

    def keep(self, indices: Sequence[int]) -> None:
        """Keeps only the conditions at these indices."""
        self._of_prompt = None
        if self._generated is not None:
            keys, values = self._generated
            self._generated = keys[list(indices)], values[list(indices)]
