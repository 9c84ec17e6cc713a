"""Tokens behind a prompt, one position at a time, with interventions active."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from ..models import Adapter, Inputs
from ._attend import Group, Part, Reading
from ._cohorts import Cohort, Reader, stretches
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
        self._prompt, self._clean = prompt, prompt.clean
        self._clean.reserve(self._clean.n + most)
        self._reader = Reader(self._clean, prompt.plans)
        self._alive = list(range(len(prompt.plans)))
        self._n_done = 0
        self._blocks = [
            _Block(self._cohorts(layer), most) for layer in range(self._clean.adapter.n_layers)
        ]

    @torch.no_grad()
    def next(self, tokens: Int[Tensor, " batch"]) -> Float[Tensor, "batch vocab"]:
        clean = self._clean
        position = clean.n + self._n_done
        embeds = clean.adapter.embedding(tokens.to(clean.adapter.device))
        hidden = clean.entering_next(embeds, position)
        rows = Span(np.array([position]))
        places = torch.full((len(hidden),), position)
        for layer, block in enumerate(self._blocks):
            groups = block.groups(self._reader, layer, rows, self._n_done, clean.n)
            order = block.order(self._alive).to(hidden.device)
            out = call_block(clean, layer, hidden[order], places, Reading(groups))
            block.write(groups, self._n_done)
            hidden = torch.empty_like(out).index_copy_(0, order.to(out.device), out)
        self._n_done += 1
        return clean.adapter.read_out(hidden)

    def keep(self, places: Sequence[int]) -> None:
        self._alive = [self._alive[place] for place in places]
        for block in self._blocks:
            block.keep(set(self._alive))

    def _cohorts(self, layer: int) -> list[Cohort]:
        """The conditions with the same keys so far, and whether generated rows lose edges."""
        prompt = self._prompt
        found: dict[object, tuple[list[int], bool]] = {}
        for member, plan in enumerate(prompt.plans):
            cut = any(cut.generated and layer in cut.layers for cut in plan.cuts)
            key = (cut, *map(id, prompt.own.of(layer, member)))
            found.setdefault(key, ([], cut))[0].append(member)
        none = Span(np.arange(0))
        return [
            Cohort(tuple(members), none, prompt.own.shared(layer, members), cut)
            for members, cut in found.values()
        ]


class _Block:
    """One block's cohorts and the keys and values of what was generated."""

    def __init__(self, cohorts: list[Cohort], most: int) -> None:
        self._cohorts = cohorts
        self._most = most
        self._made: list[tuple[Tensor, Tensor]] | None = None
        self._fixed: list[list[Part]] | None = None
        self._order: Tensor | None = None

    def groups(self, reader: Reader, layer: int, rows: Span, n_done: int, n: int) -> list[Group]:
        """What the next row of each condition reads."""
        parts = self._fixed or [reader.parts(layer, c, rows, None) for c in self._cohorts]
        # Where every generated row reads every key, the parts are the same at every step.
        if all(part.allow is None for one in parts for part in one):
            self._fixed = parts
        whole = [list(one) for one in parts]
        if n_done:
            assert self._made is not None
            columns = np.arange(n, n + n_done)
            for cohort, made, one in zip(self._cohorts, self._made, whole, strict=True):
                keys, values = (kind[:, :, :n_done] for kind in made)
                one.append(Part(keys, values, reader.allow(layer, cohort, rows, columns)))
        alone = [cohort._replace(span=rows) for cohort in self._cohorts]
        return [
            Group(where, len(cohort.members), one, None)
            for cohort, one, where in zip(alone, whole, stretches(alone), strict=True)
        ]

    def order(self, alive: Sequence[int]) -> Int[Tensor, " batch"]:
        """Where each packed row's condition stands among those that go on."""
        if self._order is None:
            place = {member: at for at, member in enumerate(alive)}
            self._order = torch.tensor([place[m] for c in self._cohorts for m in c.members])
        return self._order

    def write(self, groups: Sequence[Group], n_done: int) -> None:
        """Keeps the keys and values that the block has just made."""
        own = [group.own for group in groups if group.own is not None]
        if self._made is None:
            self._made = [(self._room(keys), self._room(values)) for keys, values in own]
        for made, new in zip(self._made, own, strict=True):
            for room, kind in zip(made, new, strict=True):
                room[:, :, n_done] = kind[:, :, 0]

    def _room(self, like: Float[Tensor, "batch kv_head 1 d_head"]) -> Tensor:
        batch, heads, _, width = like.shape
        return like.new_empty(batch, heads, self._most, width)

    def keep(self, alive: set[int]) -> None:
        """Only these conditions go on."""
        cohorts, made = [], []
        for at, cohort in enumerate(self._cohorts):
            kept = [place for place, member in enumerate(cohort.members) if member in alive]
            if not kept:
                continue
            members = tuple(cohort.members[place] for place in kept)
            slabs = tuple(slab.of(members) for slab in cohort.slabs)
            cohorts.append(cohort._replace(members=members, slabs=slabs))
            if self._made is not None:
                keys, values = self._made[at]
                same = len(kept) == len(cohort.members)
                made.append((keys, values) if same else (keys[kept], values[kept]))
        self._cohorts = cohorts
        self._made = made if self._made is not None else None
        self._fixed = self._order = None
