"""The common start of several prompts, computed once, under interventions as well."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ._clean import Clean
from ._condition_cache import ConditionCache
from ._incremental import Incremental
from ._recompute import RecomputePlanner
from ._resolved import ResolvedCondition


@dataclass(eq=False)
class SharedPrefix:
    """Conditions of several prompts, up to the position where the prompts differ.

    Attributes:
        stop: the prompts are the same before this position.
        cleans: the clean pass of each prompt.
        conditions: each prompt's conditions.
        token_layers: number of position-block pairs computed for the prefix so far.
    """

    stop: int
    cleans: Sequence[Clean]
    conditions: Sequence[Sequence[ResolvedCondition]]
    token_layers: int = 0
    _cache: ConditionCache | None = None
    _indices: dict[int, list[int]] = field(default_factory=dict)

    def cache_for(self, clean: Clean, conditions: Sequence[int]) -> ConditionCache:
        """Returns what these conditions of one prompt computed before `stop`."""
        if self._cache is None:
            self._cache = self._computed()
        indices = self._indices[id(clean)]
        return self._cache.reindexed([indices[condition] for condition in conditions])

    def _computed(self) -> ConditionCache:
        """Runs one pass over all conditions, of any prompt, that differ before `stop`."""
        index_of: dict[bytes, int] = {}
        distinct: list[ResolvedCondition] = []
        for clean, conditions in zip(self.cleans, self.conditions, strict=True):
            indices = []
            for condition in conditions:
                key = _digest_before(condition, self.stop)
                if key not in index_of:
                    index_of[key] = len(distinct)
                    distinct.append(condition)
                indices.append(index_of[key])
            self._indices[id(clean)] = indices
        first = self.cleans[0]
        planner = RecomputePlanner(first)
        plans = [planner.plan(condition) for condition in distinct]
        prefix = Incremental(first, distinct, plans)
        prefix.compute_keys(self.stop)
        self.token_layers = prefix.token_layers
        return prefix.cache


def _digest_before(condition: ResolvedCondition, stop: int) -> bytes:
    """Returns a digest that is equal for conditions that do the same before position `stop`."""
    digest = hashlib.blake2b()
    replaced = {0: (condition.inputs,)} if condition.inputs is not None else {}
    for name, edits in (("inputs", replaced), ("patches", condition.patches)):
        for layer, replacements in sorted(edits.items()):
            for replacement in replacements:
                inside = replacement.positions < stop
                digest.update(f"{name} {layer} {replacement.positions[inside].tolist()}".encode())
                digest.update(_bytes(replacement.values[inside]))
                for added in replacement.added:
                    digest.update(_bytes(added[inside]))
    for edges in condition.blocked:
        queries = edges.queries[edges.queries < stop].tolist()
        if queries:
            layers = sorted(edges.layers)
            digest.update(f"{queries} {edges.keys.tolist()} {layers} {edges.heads}".encode())
    return digest.digest()


def _bytes(values: Tensor) -> bytes:
    return values.detach().contiguous().view(torch.uint8).cpu().numpy().tobytes()
