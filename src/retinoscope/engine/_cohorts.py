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

from ._attend import Allow, Part
from ._clean import Clean
from ._dirty import Span
from ._own import Slab
from ._plan import Plan, blocked


class Cohort(NamedTuple):
    """Conditions with the same rows and the same earlier keys at one block.

    Attributes:
        members: numbers of the conditions.
        span: the rows.
        slabs: keys that the conditions made in earlier passes.
        cut: whether edges of theirs are blocked here.
    """

    members: tuple[int, ...]
    span: Span
    slabs: tuple[Slab, ...]
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
    _blocked: dict[object, Bool[np.ndarray, "head row key"]] = field(default_factory=dict)

    def parts(self, layer: int, cohort: Cohort, rows: Span, made: Span | None) -> list[Part]:
        """The clean run's keys and those of earlier passes.

        Args:
            rows: the queries.
            made: whose keys this block makes, so that the clean ones there are not read.
        """
        parts = [
            Part(slab.keys, slab.values, self.allow(layer, cohort, rows, slab.positions))
            for slab in cohort.slabs
        ]
        columns, hidden = self._clean_columns(layer, cohort, rows, made)
        if len(columns):
            keys, values = self.clean.keys_and_values(layer)
            allow = self.allow(layer, cohort, rows, columns, hidden)
            parts.insert(0, Part(keys[:, : len(columns)], values[:, : len(columns)], allow))
        return parts

    def _clean_columns(
        self, layer: int, cohort: Cohort, rows: Span, made: Span | None
    ) -> tuple[Int[np.ndarray, " key"], Int[np.ndarray, " hidden"]]:
        """The first clean keys up to the last that is read, and those among them to leave out."""
        n = self.clean.n
        causal = self.clean.edges(layer).allowed is None
        end = min(n, int(rows.positions[-1]) + 1) if causal else n
        spans = [slab.positions for slab in cohort.slabs]
        spans += [made.positions] if made is not None else []
        own = np.concatenate(spans) if spans else np.arange(0)
        own = own[own < end]
        first = int(own.min(initial=end))
        if len(own) == end - first:
            return np.arange(first), own[:0]
        return np.arange(end), own

    def allow(
        self,
        layer: int,
        cohort: Cohort,
        rows: Span,
        columns: Int[np.ndarray, " key"],
        hidden: Int[np.ndarray, " hidden"] | None = None,
    ) -> Allow:
        """Which of the keys at `columns` the rows read, `hidden` ones never."""
        edges = self.clean.edges(layer)
        own = columns is rows.positions
        plain: Bool[np.ndarray, "row key"] | None = None
        if hidden is not None and len(hidden):
            plain = edges.between(rows.positions, columns) & ~np.isin(columns, hidden)
        elif edges.allowed is not None or not (own or columns[-1] <= rows.first):
            plain = edges.between(rows.positions, columns)
        if not cohort.cut:
            if plain is None:
                return "causal" if own and len(rows) > 1 else None
            return None if plain.all() else self._mask(plain[None, None])
        if plain is None:
            plain = edges.between(rows.positions, columns)
        cuts = [self._cut(layer, member, rows)[:, :, columns] for member in cohort.members]
        most = max(len(cut) for cut in cuts)
        whole = [np.broadcast_to(cut, (most, *cut.shape[1:])) for cut in cuts]
        return self._mask(plain & ~np.stack(whole))

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
