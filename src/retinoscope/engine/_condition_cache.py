"""Keys and values that conditions computed themselves, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class KVBlock:
    """Keys and values of conditions that computed the same positions of one decoder block.

    Attributes:
        members: indices of the conditions.
        positions: positions of the keys, the same for all conditions.
    """

    members: tuple[int, ...]
    positions: Int[np.ndarray, " key"]
    keys: Float[Tensor, "batch kv_head key d_head"]
    values: Float[Tensor, "batch kv_head key d_head"]

    def select(self, members: Sequence[int]) -> KVBlock:
        """Returns the keys and values of some of the conditions, in this order."""
        if tuple(members) == self.members:
            return self
        row_of = {member: row for row, member in enumerate(self.members)}
        index = torch.tensor([row_of[member] for member in members], device=self.keys.device)
        return KVBlock(tuple(members), self.positions, self.keys[index], self.values[index])


@dataclass(frozen=True, eq=False)
class ConditionCache:
    """What conditions have computed: per condition, pass and decoder block at most one `KVBlock`.

    Attributes:
        kv_blocks: for each decoder block, everything computed there.
    """

    kv_blocks: tuple[list[KVBlock], ...]
    _by_member: tuple[dict[int, tuple[KVBlock, ...]], ...] = field(repr=False)

    @classmethod
    def empty(cls, n_layers: int) -> ConditionCache:
        """Returns the cache of conditions that have computed nothing yet."""
        return cls(tuple([] for _ in range(n_layers)), tuple({} for _ in range(n_layers)))

    def add(self, layer: int, kv: KVBlock) -> None:
        """Adds what one pass computed at one decoder block."""
        self.kv_blocks[layer].append(kv)
        by_member = self._by_member[layer]
        for member in kv.members:
            by_member[member] = (*by_member.get(member, ()), kv)

    def of(self, layer: int, member: int) -> tuple[KVBlock, ...]:
        """Returns what one condition computed at one decoder block, oldest first."""
        return self._by_member[layer].get(member, ())

    def reindexed(self, sources: Sequence[int | None]) -> ConditionCache:
        """Returns the cache of other conditions: i takes that of `sources[i]`, or nothing."""
        takers: dict[int, list[int]] = {}
        for member, source in enumerate(sources):
            if source is not None:
                takers.setdefault(source, []).append(member)
        cache = ConditionCache.empty(len(self.kv_blocks))
        for layer, kv_blocks in enumerate(self.kv_blocks):
            for kv in kv_blocks:
                pairs = [(source, new) for source in kv.members for new in takers.get(source, ())]
                if pairs:
                    chosen = kv.select([source for source, _ in pairs])
                    members = tuple(new for _, new in pairs)
                    cache.add(layer, KVBlock(members, kv.positions, chosen.keys, chosen.values))
        return cache
