"""What prompts on the same image have in common, computed once, under interventions as well."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ._clean import Clean
from ._dirty import Reach, Reaches
from ._incremental import Incremental
from ._own import OwnKeys
from ._plan import Plan


@dataclass(eq=False)
class Trunk:
    """Conditions of several prompts up to the position where the prompts differ.

    Attributes:
        stop: the prompts are the same before this position.
        plans: for each prompt its conditions.
        token_layers: position x block pairs that were computed for the trunk so far.
    """

    stop: int
    cleans: Sequence[Clean]
    plans: Sequence[Sequence[Plan]]
    token_layers: int = 0
    _own: OwnKeys | None = None
    _numbers: dict[int, list[int]] = field(default_factory=dict)

    def own_keys(self, clean: Clean, conditions: Sequence[int]) -> OwnKeys:
        """What these conditions of one prompt made before `stop`."""
        if self._own is None:
            self._own = self._computed()
        numbers = self._numbers[id(clean)]
        return self._own.renumbered([numbers[condition] for condition in conditions])

    def _computed(self) -> OwnKeys:
        """One pass over all conditions that differ before `stop`, whatever prompt they are of."""
        known: dict[bytes, int] = {}
        plans: list[Plan] = []
        for clean, conditions in zip(self.cleans, self.plans, strict=True):
            numbers = []
            for plan in conditions:
                key = _before(plan, self.stop)
                if key not in known:
                    known[key] = len(plans)
                    plans.append(plan)
                numbers.append(known[key])
            self._numbers[id(clean)] = numbers
        first = self.cleans[0]
        reaches = Reaches(first)
        needed: list[Reach] = [reaches.of(plan) for plan in plans]
        trunk = Incremental(first, plans, needed)
        trunk.advance(self.stop)
        self.token_layers = trunk.token_layers
        return trunk.own


def _before(plan: Plan, stop: int) -> bytes:
    """What a condition does before position `stop`: equal for conditions that do the same."""
    digest = hashlib.blake2b()
    replaced = {0: (plan.inputs,)} if plan.inputs is not None else {}
    for name, edits in (("inputs", replaced), ("patches", plan.patches)):
        for layer, several in sorted(edits.items()):
            for one in several:
                inside = one.positions < stop
                digest.update(f"{name} {layer} {one.positions[inside].tolist()}".encode())
                digest.update(_bytes(one.values[inside]))
                for added in one.added:
                    digest.update(_bytes(added[inside]))
    for cut in plan.cuts:
        rows = cut.rows[cut.rows < stop].tolist()
        if rows:
            layers = sorted(cut.layers)
            digest.update(f"{rows} {cut.keys.tolist()} {layers} {cut.heads}".encode())
    return digest.digest()


def _bytes(values: Tensor) -> bytes:
    return values.detach().contiguous().view(torch.uint8).cpu().numpy().tobytes()
