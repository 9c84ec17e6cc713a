"""The keys and values that conditions computed themselves, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Slab:
    """Keys and values of conditions that computed the same positions of one block.

    Attributes:
        members: numbers of the conditions.
        positions: the same for all of them.
    """

    members: tuple[int, ...]
    positions: Int[np.ndarray, " key"]
    keys: Float[Tensor, "batch kv_head key d_head"]
    values: Float[Tensor, "batch kv_head key d_head"]

    def of(self, members: Sequence[int]) -> Slab:
        """The same for some of its conditions, in their order."""
        if tuple(members) == self.members:
            return self
        place = {member: at for at, member in enumerate(self.members)}
        index = torch.tensor([place[member] for member in members], device=self.keys.device)
        return Slab(tuple(members), self.positions, self.keys[index], self.values[index])


@dataclass(frozen=True, eq=False)
class OwnKeys:
    """All slabs of some conditions; a condition has at most one of each pass and block."""

    slabs: tuple[list[Slab], ...]
    _held: tuple[dict[int, tuple[Slab, ...]], ...] = field(repr=False)

    @classmethod
    def none(cls, n_layers: int) -> OwnKeys:
        """Of conditions that computed nothing yet."""
        return cls(tuple([] for _ in range(n_layers)), tuple({} for _ in range(n_layers)))

    def add(self, layer: int, slab: Slab) -> None:
        """Keeps what a pass computed at one block."""
        self.slabs[layer].append(slab)
        held = self._held[layer]
        for member in slab.members:
            held[member] = (*held.get(member, ()), slab)

    def of(self, layer: int, member: int) -> tuple[Slab, ...]:
        """What one condition has at one block, in the order in which it was computed."""
        return self._held[layer].get(member, ())

    def renumbered(self, source: Sequence[int | None]) -> OwnKeys:
        """The same keys for other conditions: condition i has those of `source[i]`, or none."""
        wanted: dict[int, list[int]] = {}
        for member, old in enumerate(source):
            if old is not None:
                wanted.setdefault(old, []).append(member)
        new = OwnKeys.none(len(self.slabs))
        for layer, slabs in enumerate(self.slabs):
            for slab in slabs:
                pairs = [(old, new) for old in slab.members for new in wanted.get(old, ())]
                if pairs:
                    chosen = slab.of([old for old, _ in pairs])
                    members = tuple(member for _, member in pairs)
                    new.add(layer, Slab(members, slab.positions, chosen.keys, chosen.values))
        return new
