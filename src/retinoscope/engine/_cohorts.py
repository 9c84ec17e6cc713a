"""Conditions that go through a block alike, and what their rows may read there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ._attend import Allow, Part, Pieces
from ._clean import Clean
from ._dirty import Span
from ._own import OwnKeys, Slab
from ._plan import Plan, blocked


class Cohort(NamedTuple):
    """Conditions with the same rows at one block.

    Attributes:
        members: numbers of the conditions.
        span: the rows.
        cut: whether edges of theirs are blocked here.
    """

    members: tuple[int, ...]
    span: Span
    cut: bool

    @property
    def n_packed(self) -> int:
        """Rows in the packed batch."""
        return len(self.members) * len(self.span)


def stretches(cohorts: Sequence[Cohort]) -> list[slice]:
    """Where each cohort's rows lie in the packed batch."""
    ends = np.cumsum([0, *(cohort.n_packed for cohort in cohorts)])
    return [slice(a, b) for a, b in pairwise(ends.tolist())]


@dataclass(eq=False)
class Reader:
    """Says what a cohort's rows read: which places, and which keys there."""

    clean: Clean
    plans: Sequence[Plan]
    own: OwnKeys
    _blocked: dict[object, Bool[np.ndarray, "head row key"]] = field(default_factory=dict)

    def parts(
        self, layer: int, cohort: Cohort, rows: Span, made: Span | None
    ) -> list[Part | Pieces]:
        """The clean run's keys and those of earlier passes.

        Args:
            rows: the queries.
            made: whose keys this block makes, so that the clean ones there are not read.
        """
        slabs = [self.own.of(layer, member) for member in cohort.members]
        clean = self._clean_part(layer, cohort, rows, made, slabs)
        earlier = [
            self._earlier(layer, cohort, rows, [one[number : number + 1] for one in slabs])
            for number in range(max(map(len, slabs)))
        ]
        return [*([] if clean is None else [clean]), *earlier]

    def _earlier(
        self, layer: int, cohort: Cohort, rows: Span, slabs: Sequence[tuple[Slab, ...]]
    ) -> Part | Pieces:
        """What an earlier pass made: at most one slab of each condition."""
        places: dict[int, list[int]] = {}
        known: dict[int, Slab] = {}
        for place, one in enumerate(slabs):
            for slab in one:
                known[id(slab)] = slab
                places.setdefault(id(slab), []).append(place)
        parts = []
        for name, chosen in places.items():
            some = cohort._replace(members=tuple(cohort.members[place] for place in chosen))
            slab = known[name].of(some.members)
            allow = self.allow(layer, some, rows, slab.positions)
            parts.append((chosen, Part(slab.keys, slab.values, allow)))
        if len(parts) == 1 and len(parts[0][0]) == len(cohort.members):
            return parts[0][1]
        device = self.clean.device
        return Pieces([(torch.tensor(chosen, device=device), part) for chosen, part in parts])

    def _clean_part(
        self,
        layer: int,
        cohort: Cohort,
        rows: Span,
        made: Span | None,
        slabs: Sequence[tuple[Slab, ...]],
    ) -> Part | None:
        """The first clean keys up to the last that is read, without those made anew."""
        n = self.clean.n
        causal = self.clean.edges(layer).allowed is None
        end = min(n, int(rows.positions[-1]) + 1) if causal else n
        kinds: dict[tuple[int, ...], np.ndarray] = {}
        for one in slabs:
            key = tuple(map(id, one))
            if key not in kinds:
                spans = [slab.positions for slab in one]
                spans += [made.positions] if made is not None else []
                own = np.concatenate(spans) if spans else np.arange(0)
                kinds[key] = own[own < end]
        first = min(int(own.min(initial=end)) for own in kinds.values())
        # All of them made all keys from there on: the clean ones before are a plain stretch.
        if all(len(own) == end - first for own in kinds.values()):
            end, kinds = first, {}
        if not end:
            return None
        keys, values = self.clean.keys_and_values(layer)
        hidden: Bool[np.ndarray, "batch key"] | None = None
        if kinds:
            hidden = np.zeros((len(slabs), end), dtype=bool)
            for place, one in enumerate(slabs):
                hidden[place, kinds[tuple(map(id, one))]] = True
        allow = self.allow(layer, cohort, rows, np.arange(end), hidden)
        return Part(keys[:, :end], values[:, :end], allow)

    def allow(
        self,
        layer: int,
        cohort: Cohort,
        rows: Span,
        columns: Int[np.ndarray, " key"],
        hidden: Bool[np.ndarray, "batch key"] | None = None,
    ) -> Allow:
        """Which of the keys at `columns` the rows read, `hidden` ones never."""
        edges = self.clean.edges(layer)
        own = columns is rows.positions
        needed = edges.allowed is not None or not (own or columns[-1] <= rows.first)
        if hidden is None and not cohort.cut and not needed:
            return "causal" if own and len(rows) > 1 else None
        allowed = edges.between(rows.positions, columns)[None, None]
        if hidden is not None:
            allowed = allowed & ~hidden[:, None, None]
        if cohort.cut:
            cuts = [self._cut(layer, member, rows)[:, :, columns] for member in cohort.members]
            most = max(len(cut) for cut in cuts)
            whole = [np.broadcast_to(cut, (most, *cut.shape[1:])) for cut in cuts]
            allowed = allowed & ~np.stack(whole)
        return None if allowed.all() else self._mask(allowed)

    def _cut(self, layer: int, member: int, rows: Span) -> Bool[np.ndarray, "head row key"]:
        active = tuple(i for i, cut in enumerate(self.plans[member].cuts) if layer in cut.layers)
        key = (member, active, rows.positions.tobytes())
        if key not in self._blocked:
            cuts = [self.plans[member].cuts[i] for i in active]
            n_keys = max(self.clean.n, int(rows.positions[-1]) + 1)
            heads = self.clean.adapter.n_heads
            self._blocked[key] = blocked(cuts, rows.positions, n_keys, self.clean.n, heads)
        return self._blocked[key]

    def _mask(self, allowed: Bool[np.ndarray, "batch head row key"]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(allowed)).to(self.clean.device)
