"""Tokens behind a prompt, one position at a time, with interventions active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from ..models import Adapter, Inputs, finite_logits, not_finite
from ._attend import Group, Part, Pieces, Reading
from ._cohorts import Cohort, Reader
from ._dirty import Span
from ._forward import Batch, forward
from ._incremental import Incremental, call_block


class Steps(Protocol):
    """Goes on behind the prompt, for the conditions that are still going."""

    def next(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        """float32 logits behind one more token for each condition."""
        ...

    def keep(self, places: Sequence[int]) -> None:
        """Only the conditions at these places go on."""
        ...


class PlainSteps:
    """Over a cache that holds every condition's keys and values: the reference path."""

    def __init__(self, adapter: Adapter, inputs: Inputs, cache: DynamicCache, batch: Batch) -> None:
        self._adapter, self._inputs, self._cache, self._batch = adapter, inputs, cache, batch
        self._position = len(inputs.input_ids)

    def next(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        start = self._position
        self._position += 1
        self._batch.advance(start)
        embeds = self._adapter.embedding(tokens.to(self._adapter.device))[:, None]
        arguments = self._adapter.arguments(self._inputs, start, start + 1)
        return forward(self._adapter, embeds, arguments, batch=self._batch, cache=self._cache)

    def keep(self, places: Sequence[int]) -> None:
        index = torch.tensor(places, device=self._adapter.device)
        self._cache.batch_select_indices(index)
        self._batch.keep(places)


class IncrementalSteps:
    """Over the clean run's keys and values, held once, and what each condition made itself.

    Args:
        prompt: has gone through the prompt with `keep=True`.
        most: the largest number of steps.
    """

    def __init__(self, prompt: Incremental, most: int) -> None:
        clean = prompt.clean
        clean.reserve(clean.n + most)
        reader = Reader(clean, prompt.plans, prompt.own)
        self._clean = clean
        self._alive = tuple(range(len(prompt.plans)))
        self._n_done = 0
        self._blocks = [_Block(reader, layer, most) for layer in range(clean.adapter.n_layers)]

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
        rows = Span(np.array([position]))
        places = torch.full((len(hidden),), position)
        for layer, block in enumerate(self._blocks):
            group = block.group(self._alive, rows, self._n_done)
            hidden = call_block(clean, layer, hidden, places, Reading([group]))
            block.write(group, self._n_done)
        return clean.adapter.read_out(hidden)

    def keep(self, places: Sequence[int]) -> None:
        self._alive = tuple(self._alive[place] for place in places)
        for block in self._blocks:
            block.keep(places)


class _Block:
    """One block's keys and values of what was generated, and what else a new row reads there."""

    def __init__(self, reader: Reader, layer: int, most: int) -> None:
        self._reader, self._layer, self._most = reader, layer, most
        self._made: tuple[Tensor, Tensor] | None = None
        self._fixed: list[Part | Pieces] | None = None

    def group(self, alive: tuple[int, ...], rows: Span, n_done: int) -> Group:
        """What the next row of each condition reads."""
        reader, layer = self._reader, self._layer
        cut = any(
            cut.generated and layer in cut.layers
            for member in alive
            for cut in reader.plans[member].cuts
        )
        cohort = Cohort(alive, rows, cut)
        parts = self._fixed or reader.parts(layer, cohort, rows, None)
        # Generated rows lose no edges here and read all that is behind: the next ones do as well.
        if not cut and reader.clean.edges(layer).allowed is None:
            self._fixed = parts
        parts = list(parts)
        if self._made is not None:
            columns = np.arange(reader.clean.n, reader.clean.n + n_done)
            keys, values = (kind[:, :, :n_done] for kind in self._made)
            parts.append(Part(keys, values, reader.allow(layer, cohort, rows, columns)))
        return Group(slice(0, len(alive)), len(alive), parts, None)

    def write(self, group: Group, n_done: int) -> None:
        """Keeps the keys and values that the block has just made."""
        assert group.own is not None
        if self._made is None:
            keys, values = group.own
            self._made = self._room(keys), self._room(values)
        for room, new in zip(self._made, group.own, strict=True):
            room[:, :, n_done] = new[:, :, 0]

    def _room(self, like: Float[Tensor, "batch kv_head 1 d_head"]) -> Tensor:
        batch, heads, _, width = like.shape
        return like.new_empty(batch, heads, self._most, width)

    def keep(self, places: Sequence[int]) -> None:
        """Only the conditions at these places go on."""
        self._fixed = None
        if self._made is not None:
            keys, values = self._made
            self._made = keys[list(places)], values[list(places)]
