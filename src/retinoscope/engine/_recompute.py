"""Which positions a condition has to recompute, block by block.

A block's row has to be recomputed if its input changed, if one of its attention edges is blocked
there, or if it may read a key that changed: in a causal decoder, every row after the first changed
one. Everything else equals the clean run and is read from it. Some rows may be recomputed although
they do not change (with unchanged inputs, the result is the same); no changed row is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from ._clean import Clean
from ._resolved import Replacement, ResolvedCondition

_STRIDE = 16
"""Recomputed image rows start at multiples of this, so that similar conditions share a batch."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Positions that are computed together. Equal rows of one prompt are one object.

    Attributes:
        positions: ascending.
    """

    positions: Int[np.ndarray, " row"]

    @property
    def first(self) -> int:
        """The smallest position."""
        return int(self.positions[0])

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class Recomputation:
    """What one condition has to recompute.

    Attributes:
        rows: for each block the rows to compute; None if nothing changes there.
        edits: residual layer -> states to overwrite there before the block reads them.
        changes_output: whether the last position's output can differ at all.
    """

    rows: tuple[Rows | None, ...]
    edits: dict[int, tuple[Replacement, ...]]
    changes_output: bool


@dataclass(eq=False)
class RecomputePlanner:
    """Determines what the conditions of one clean run have to recompute."""

    clean: Clean
    _rows: dict[bytes, Rows] = field(default_factory=dict)

    def plan(self, condition: ResolvedCondition) -> Recomputation:
        """Returns the rows that `condition` can change, block by block."""
        clean = self.clean
        n, n_layers = clean.n, clean.adapter.n_layers
        edits = self._edits(condition)
        start = self._first_new_addition(condition)
        rows: list[Rows | None] = []
        for layer in range(n_layers):
            start = self._start(layer, min(start, self._first_changed(edits, layer)))
            blocked = self._blocked_rows(condition, layer, start)
            rows.append(self._interned(np.concatenate([blocked, np.arange(start, n)])))
            start = min(start, int(blocked.min(initial=n)))
        end = min(start, n - 1 if self._last_changed(edits, n_layers) else n)
        return Recomputation(tuple(rows), edits, end < n)

    def _edits(self, condition: ResolvedCondition) -> dict[int, tuple[Replacement, ...]]:
        edits = dict(condition.patches)
        inputs = condition.inputs
        if inputs is not None:
            entered = self.clean.entering(inputs.values, inputs.positions)
            edits[0] = (Replacement(inputs.positions, entered), *edits.get(0, ()))
        return edits

    def _first_changed(self, edits: dict[int, tuple[Replacement, ...]], layer: int) -> int:
        """Returns the first position whose state differs from the clean run's; n if none does."""
        first = self.clean.n
        for edit in edits.get(layer, ()):
            clean = self.clean.states(layer)[edit.positions.to(self.clean.device)]
            differs = (edit.values.to(clean) != clean).any(-1).cpu()
            changed = edit.positions.cpu()[differs]
            first = min(first, int(changed.min()) if len(changed) else first)
        return first

    def _first_new_addition(self, condition: ResolvedCondition) -> int:
        """The first position at which the model adds something other than in the clean run."""
        first = self.clean.n
        inputs = condition.inputs
        if inputs is not None:
            for clean, edited in zip(self.clean.added, inputs.added, strict=True):
                differs = (clean[inputs.positions] != edited).any(-1)
                if differs.any():
                    first = min(first, int(inputs.positions[differs].min()))
        return first

    def _last_changed(self, edits: dict[int, tuple[Replacement, ...]], layer: int) -> bool:
        return any((edit.positions == self.clean.n - 1).any() for edit in edits.get(layer, ()))

    def _start(self, layer: int, start: int) -> int:
        if start >= self.clean.n:
            return self.clean.n
        start = self.clean.edges(layer).first_reader(start)
        if start < self.clean.image_end:
            start -= start % _STRIDE
        return start

    def _blocked_rows(
        self, condition: ResolvedCondition, layer: int, before: int
    ) -> Int[np.ndarray, " row"]:
        """Returns rows before position `before` that lose an edge allowed by the model's mask."""
        lost: set[int] = set()
        for edges in condition.blocked:
            if layer in edges.layers:
                rows = edges.queries[edges.queries < before]
                lost.update(rows[self.clean.edges(layer).any_allowed(rows, edges.keys)].tolist())
        return np.array(sorted(lost), dtype=int)

    def _interned(self, positions: Int[np.ndarray, " row"]) -> Rows | None:
        if not len(positions):
            return None
        key = positions.tobytes()
        if key not in self._rows:
            self._rows[key] = Rows(positions)
        return self._rows[key]
