"""Which positions a condition can have reached, block by block.

A row of a block has to be computed again if its input changed, if one of its edges is cut there, or
if it may read a key that changed: in a causal decoder, every row behind the first changed one.
Everything else equals the clean run and is read from it. The rows computed may be more than the
rows that differ (a row computed again from unchanged inputs gives what it gave before), never
fewer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from ._clean import Clean
from ._plan import Plan, Replaced

_STRIDE = 16
"""Rows of images begin at multiples of this, so that conditions of similar reach go together."""


@dataclass(frozen=True, eq=False)
class Span:
    """Positions that are computed together. Equal spans of one prompt are one object.

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
class Reach:
    """What one condition needs.

    Attributes:
        spans: for each block the rows to compute; None where nothing changes.
        edits: residual layer -> states to overwrite there before the block reads them.
        reaches_output: whether the last position's output can differ at all.
    """

    spans: tuple[Span | None, ...]
    edits: dict[int, tuple[Replaced, ...]]
    reaches_output: bool


@dataclass(eq=False)
class Reaches:
    """Finds what conditions of one clean run need."""

    clean: Clean
    _spans: dict[bytes, Span] = field(default_factory=dict)

    def of(self, plan: Plan) -> Reach:
        """The rows that `plan` needs."""
        clean = self.clean
        n, n_layers = clean.n, clean.adapter.n_layers
        edits = self._edits(plan)
        start = self._added_anew(plan)
        spans: list[Span | None] = []
        for layer in range(n_layers):
            start = self._start(layer, min(start, self._changed(edits, layer)))
            rows = np.arange(start, n)
            cut = self._cut_rows(plan, layer, start)
            spans.append(self._span(np.concatenate([cut, rows])))
            start = min(start, int(cut.min(initial=n)))
        end = min(start, n - 1 if self._last_changed(edits, n_layers) else n)
        return Reach(tuple(spans), edits, end < n)

    def _edits(self, plan: Plan) -> dict[int, tuple[Replaced, ...]]:
        edits = dict(plan.patches)
        if plan.inputs is not None:
            entered = self.clean.entering(plan.inputs.values, plan.inputs.positions)
            edits[0] = (Replaced(plan.inputs.positions, entered), *edits.get(0, ()))
        return edits

    def _changed(self, edits: dict[int, tuple[Replaced, ...]], layer: int) -> int:
        """The first position whose state differs from the clean run's; n if none does."""
        first = self.clean.n
        for replaced in edits.get(layer, ()):
            clean = self.clean.states(layer)[replaced.positions.to(self.clean.device)]
            differs = (replaced.values.to(clean) != clean).any(-1).cpu()
            places = replaced.positions.cpu()[differs]
            first = min(first, int(places.min()) if len(places) else first)
        return first

    def _added_anew(self, plan: Plan) -> int:
        """The first position to which the model adds something else than in the clean run."""
        first = self.clean.n
        if plan.inputs is not None:
            places = plan.inputs.positions
            for own, other in zip(self.clean.added, plan.inputs.added, strict=True):
                differs = (own[places] != other).any(-1)
                first = min(first, int(places[differs].min())) if differs.any() else first
        return first

    def _last_changed(self, edits: dict[int, tuple[Replaced, ...]], layer: int) -> bool:
        return any((r.positions == self.clean.n - 1).any() for r in edits.get(layer, ()))

    def _start(self, layer: int, start: int) -> int:
        if start >= self.clean.n:
            return self.clean.n
        start = self.clean.edges(layer).first_reader(start)
        if start < self.clean.image_end:
            start -= start % _STRIDE
        return start

    def _cut_rows(self, plan: Plan, layer: int, before: int) -> Int[np.ndarray, " row"]:
        """Rows before position `before` that lose an edge which they have."""
        lost: set[int] = set()
        for cut in plan.cuts:
            if layer in cut.layers:
                rows = cut.rows[cut.rows < before]
                lost.update(rows[self.clean.edges(layer).any_allowed(rows, cut.keys)].tolist())
        return np.array(sorted(lost), dtype=int)

    def _span(self, positions: Int[np.ndarray, " row"]) -> Span | None:
        if not len(positions):
            return None
        key = positions.tobytes()
        if key not in self._spans:
            self._spans[key] = Span(positions)
        return self._spans[key]
