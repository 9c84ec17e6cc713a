"""Conditions that compute the same rows of a block, and the keys and values that these read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ._clean import Clean
from ._condition_cache import ConditionCache, KVBlock
from ._recompute import Rows
from ._resolved import ResolvedCondition, blocked_mask
from ._segment_attention import Allowed, KVSegment, RaggedSegment


class ConditionGroup(NamedTuple):
    """Conditions that compute the same rows at one block.

    Attributes:
        members: indices of the conditions.
        rows: the rows.
        has_blocked: whether some of their attention edges are blocked here.
    """

    members: tuple[int, ...]
    rows: Rows
    has_blocked: bool

    @property
    def n_packed(self) -> int:
        """Number of rows in the packed batch."""
        return len(self.members) * len(self.rows)


def packed_slices(groups: Sequence[ConditionGroup]) -> list[slice]:
    """Returns where each group's rows are in the packed batch."""
    ends = np.cumsum([0, *(group.n_packed for group in groups)])
    return [slice(a, b) for a, b in pairwise(ends.tolist())]


@dataclass(eq=False)
class KVSource:
    """Provides the keys and values that rows read, and which of them they may read."""

    clean: Clean
    conditions: Sequence[ResolvedCondition]
    cache: ConditionCache
    _blocked: dict[object, Bool[np.ndarray, "head row key"]] = field(default_factory=dict)

    def segments(
        self, layer: int, group: ConditionGroup, queries: Rows, computed: Rows | None
    ) -> list[KVSegment | RaggedSegment]:
        """Returns keys of the clean run, then those that earlier passes computed.

        Args:
            layer: the block.
            group: the conditions.
            queries: the rows that read.
            computed: rows whose keys this block computes, so that the clean ones are not read.
        """
        cached = [self.cache.of(layer, member) for member in group.members]
        clean = self._clean_segment(layer, group, queries, computed, cached)
        earlier = [
            self._cached_segment(layer, group, queries, [blocks[i : i + 1] for blocks in cached])
            for i in range(max(map(len, cached)))
        ]
        return [*([] if clean is None else [clean]), *earlier]

    def _cached_segment(
        self,
        layer: int,
        group: ConditionGroup,
        queries: Rows,
        cached: Sequence[tuple[KVBlock, ...]],
    ) -> KVSegment | RaggedSegment:
        """Returns what one earlier pass computed: at most one KVBlock of each condition."""
        indices: dict[int, list[int]] = {}
        kv_by_id: dict[int, KVBlock] = {}
        for index, blocks in enumerate(cached):
            for kv in blocks:
                kv_by_id[id(kv)] = kv
                indices.setdefault(id(kv), []).append(index)
        segments = []
        for name, chosen in indices.items():
            some = group._replace(members=tuple(group.members[index] for index in chosen))
            kv = kv_by_id[name].select(some.members)
            allowed = self.allowed(layer, some, queries, kv.positions)
            segments.append((chosen, KVSegment(kv.keys, kv.values, allowed)))
        if len(segments) == 1 and len(segments[0][0]) == len(group.members):
            return segments[0][1]
        device = self.clean.device
        return RaggedSegment(
            [(torch.tensor(chosen, device=device), segment) for chosen, segment in segments]
        )

    def _clean_segment(
        self,
        layer: int,
        group: ConditionGroup,
        queries: Rows,
        computed: Rows | None,
        cached: Sequence[tuple[KVBlock, ...]],
    ) -> KVSegment | None:
        """Returns the clean run's keys up to the last one read, without the recomputed ones."""
        n = self.clean.n
        causal = self.clean.edges(layer).allowed is None
        end = min(n, int(queries.positions[-1]) + 1) if causal else n
        # Conditions that computed the same keys are handled once.
        recomputed: dict[tuple[int, ...], np.ndarray] = {}
        for blocks in cached:
            key = tuple(map(id, blocks))
            if key not in recomputed:
                positions = [kv.positions for kv in blocks]
                positions += [computed.positions] if computed is not None else []
                joined = np.concatenate(positions) if positions else np.arange(0)
                recomputed[key] = joined[joined < end]
        first = min(int(positions.min(initial=end)) for positions in recomputed.values())
        # If all conditions recomputed every key from `first` on, a slice replaces the mask.
        if all(len(positions) == end - first for positions in recomputed.values()):
            end, recomputed = first, {}
        if not end:
            return None
        keys, values = self.clean.keys_and_values(layer)
        hidden: Bool[np.ndarray, "batch key"] | None = None
        if recomputed:
            hidden = np.zeros((len(cached), end), dtype=bool)
            for index, blocks in enumerate(cached):
                hidden[index, recomputed[tuple(map(id, blocks))]] = True
        allowed = self.allowed(layer, group, queries, np.arange(end), hidden)
        return KVSegment(keys[:, :end], values[:, :end], allowed)

    def allowed(
        self,
        layer: int,
        group: ConditionGroup,
        queries: Rows,
        keys: Int[np.ndarray, " key"],
        hidden: Bool[np.ndarray, "batch key"] | None = None,
    ) -> Allowed:
        """Returns which keys at positions `keys` the rows read; never the `hidden` ones."""
        edges = self.clean.edges(layer)
        same = keys is queries.positions
        plain = edges.allowed is None and (same or keys[-1] <= queries.first)
        if hidden is None and not group.has_blocked and plain:
            return "causal" if same and len(queries) > 1 else None
        allowed = edges.between(queries.positions, keys)[None, None]
        if hidden is not None:
            allowed = allowed & ~hidden[:, None, None]
        if group.has_blocked:
            masks = [self._mask(layer, member, queries)[:, :, keys] for member in group.members]
            n_heads = max(len(mask) for mask in masks)
            masks = [np.broadcast_to(mask, (n_heads, *mask.shape[1:])) for mask in masks]
            allowed = allowed & ~np.stack(masks)
        return None if allowed.all() else self._on_device(allowed)

    def _mask(self, layer: int, member: int, queries: Rows) -> Bool[np.ndarray, "head row key"]:
        blocked = self.conditions[member].blocked
        active = tuple(i for i, edges in enumerate(blocked) if layer in edges.layers)
        key = (member, active, queries.positions.tobytes())
        if key not in self._blocked:
            n_keys = max(self.clean.n, int(queries.positions[-1]) + 1)
            self._blocked[key] = blocked_mask(
                [blocked[i] for i in active],
                queries.positions,
                n_keys,
                self.clean.n,
                self.clean.adapter.n_heads,
            )
        return self._blocked[key]

    def _on_device(self, allowed: Bool[np.ndarray, "batch head row key"]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(allowed)).to(self.clean.device)
