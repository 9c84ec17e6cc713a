"""Exact counterfactuals that compute only what their interventions can reach.

All conditions go through the blocks together, their rows packed into one batch: one matrix product
per weight matrix for all of them. A condition joins at the first block where it differs, with the
rows that `Reaches` names. What a row reads and its condition has not touched comes from the clean
run's keys and values, held once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import NonFiniteError
from ..models import finite_logits, not_finite
from ._attend import Group, KeysMade, Part, Reading, reading
from ._clean import Clean
from ._cohorts import Cohort, Reader, stretches
from ._dirty import Reach, Span
from ._forward import Batch, forward
from ._own import OwnKeys, Slab
from ._plan import Plan


@dataclass(eq=False)
class _Packed:
    """Rows of cohorts, one after the other.

    Attributes:
        places: (packed,) condition x positions + position of each row.
        rows: (packed,) the position of each.
        hidden: (packed, d_model) the residual stream.
    """

    cohorts: list[Cohort]
    places: Int[np.ndarray, " packed"]
    rows: Int[Tensor, " packed"]
    hidden: Float[Tensor, "packed d_model"]


class Incremental:
    """Conditions of one prompt on their way through the decoder.

    Args:
        clean: the run without interventions.
        plans, reaches: of the conditions.
        own: keys that the conditions have made before position `done`, in an earlier pass.

    Attributes:
        own: keys and values of all conditions, where they differ from the clean run's.
        token_layers: row x block pairs that were computed; a full pass computes n x blocks.
    """

    def __init__(
        self,
        clean: Clean,
        plans: Sequence[Plan],
        reaches: Sequence[Reach],
        own: OwnKeys | None = None,
        done: int = 0,
    ) -> None:
        self.clean = clean
        self.plans = plans
        self.reaches = reaches
        self.own = own or OwnKeys.none(clean.adapter.n_layers)
        self.token_layers = 0
        self._done = done
        self._reader = Reader(clean, plans, self.own)
        self._spans: dict[tuple[int, int], Span | None] = {}
        self._last = Span(np.array([clean.n - 1]))

    @torch.no_grad()
    def advance(self, stop: int) -> None:
        """Computes the rows before position `stop` for the sake of their keys alone."""
        self._pass(stop, keep=True, output=False)

    @torch.no_grad()
    def logits(self, *, keep: bool) -> Float[Tensor, "intervention vocab"]:
        """float32 logits of the prompt's last position, one row per condition.

        Args:
            keep: keep the keys and values, so that `Steps` can go on from here.

        Raises:
            NonFiniteError: logits that are NaN or infinite.
        """
        logits = self._read(self._pass(self.clean.n, keep=keep, output=True))
        if not finite_logits(logits):
            raise self._not_finite(logits)
        return logits

    def _not_finite(self, logits: Float[Tensor, "intervention vocab"]) -> NonFiniteError:
        """The error for logits that are not finite: the plain pass says where that begins."""
        clean, adapter = self.clean, self.clean.adapter
        member = int((~torch.isfinite(logits.amax(-1))).nonzero()[0])
        batch = Batch(adapter, clean.n, [self.plans[member]])
        try:
            arguments = adapter.arguments(clean.inputs, 0, clean.n)
            forward(adapter, batch.embeds(clean.embeddings), arguments, batch=batch)
        except NonFiniteError as error:
            return NonFiniteError(f"condition {member} of {len(logits)}: {error}")
        what = "the logits of the incremental path (those of exact='reference' are finite)"
        return not_finite(adapter.model, what)

    def _pass(self, stop: int, *, keep: bool, output: bool) -> _Packed | None:
        packed: _Packed | None = None
        n_layers = self.clean.adapter.n_layers
        for layer in range(n_layers):
            cohorts = self._cohorts(layer, stop)
            if not cohorts:
                packed = None
                continue
            packed = self._gathered(layer, cohorts, packed)
            self._overwrite(layer, packed)
            if layer + 1 < n_layers:
                self._block(layer, packed, keep)
            elif output:
                packed = self._last_block(layer, packed, keep)
            else:
                self._keep(layer, packed.cohorts, self._keys_only(layer, packed))
        self._done = stop
        return packed

    # Rows

    def _cohorts(self, layer: int, stop: int) -> list[Cohort]:
        """The conditions that compute rows of this block from `done` to `stop`."""
        found: dict[object, tuple[list[int], Span, bool]] = {}
        for member, reach in enumerate(self.reaches):
            whole = reach.spans[layer]
            span = None if whole is None else self._between(whole, stop)
            if span is not None:
                cut = any(layer in cut.layers for cut in self.plans[member].cuts)
                found.setdefault((id(span), cut), ([], span, cut))[0].append(member)
        return [Cohort(tuple(members), span, cut) for members, span, cut in found.values()]

    def _between(self, span: Span, stop: int) -> Span | None:
        if self._done == 0 and stop == self.clean.n:
            return span
        key = (id(span), stop)
        if key not in self._spans:
            inside = (span.positions >= self._done) & (span.positions < stop)
            rows = span.positions[inside]
            self._spans[key] = Span(rows) if len(rows) else None
        return self._spans[key]

    def _gathered(self, layer: int, cohorts: list[Cohort], before: _Packed | None) -> _Packed:
        """The rows of `cohorts`: what was computed before where it was, else the clean run's."""
        if before is not None and _same_rows(before.cohorts, cohorts):
            return _Packed(cohorts, before.places, before.rows, before.hidden)
        n, device = self.clean.n, self.clean.device
        places = np.concatenate(
            [(np.array(c.members)[:, None] * n + c.span.positions).ravel() for c in cohorts]
        )
        rows = torch.from_numpy(places % n).to(device)
        hidden = self.clean.states(layer)[rows]
        if before is not None:
            order = np.argsort(before.places)
            at = np.searchsorted(before.places, places, sorter=order)
            old = order[np.minimum(at, len(order) - 1)]
            known = before.places[old] == places
            where = torch.from_numpy(np.flatnonzero(known)).to(device)
            hidden[where] = before.hidden[torch.from_numpy(old[known]).to(device)]
        return _Packed(cohorts, places, rows, hidden)

    def _overwrite(self, layer: int, packed: _Packed) -> None:
        start = 0
        for cohort in packed.cohorts:
            for member in cohort.members:
                for replaced in self.reaches[member].edits.get(layer, ()):
                    positions = replaced.positions.cpu().numpy()
                    # Where a row is not computed, the state it is given is the one it has.
                    inside = np.isin(positions, cohort.span.positions)
                    at = start + np.searchsorted(cohort.span.positions, positions[inside])
                    chosen = torch.from_numpy(np.flatnonzero(inside)).to(replaced.values.device)
                    values = replaced.values[chosen].to(packed.hidden)
                    packed.hidden[torch.from_numpy(at).to(packed.hidden.device)] = values
                start += len(cohort.span)

    # Blocks

    def _block(self, layer: int, packed: _Packed, keep: bool) -> None:
        """Takes the packed rows through one block."""
        groups = self._groups(layer, packed.cohorts)
        packed.hidden = self._called(layer, packed, Reading(groups))
        self._add(layer, packed)
        if keep:
            self._keep(layer, packed.cohorts, groups)

    def _add(self, layer: int, packed: _Packed) -> None:
        """What the decoder adds behind this block to the embeddings that a condition has."""
        if layer >= len(self.clean.added):
            return
        table = self.clean.added[layer]
        values = table[packed.rows.to(table.device)]
        for member in {m for cohort in packed.cohorts for m in cohort.members}:
            inputs = self.plans[member].inputs
            if inputs is not None:
                places = member * self.clean.n + inputs.positions.cpu().numpy()
                _, at, which = np.intersect1d(packed.places, places, return_indices=True)
                values[torch.from_numpy(at).to(table.device)] = inputs.added[layer][
                    torch.from_numpy(which).to(table.device)
                ]
        packed.hidden = packed.hidden + values.to(packed.hidden)

    def _keys_only(self, layer: int, packed: _Packed) -> list[Group]:
        """Takes them as far as their keys and values."""
        groups = self._groups(layer, packed.cohorts)
        with suppress(KeysMade):
            self._called(layer, packed, Reading(groups, keys_only=True))
        return groups

    def _last_block(self, layer: int, packed: _Packed, keep: bool) -> _Packed:
        """Takes the prompt's last position through the last block; of the rest only the keys."""
        if all(len(cohort.span) == 1 for cohort in packed.cohorts):
            self._block(layer, packed, keep)
            return packed
        groups = self._keys_only(layer, packed)
        kept: list[Cohort] = []
        reduced: list[Group] = []
        ends: list[int] = []
        start = 0
        for cohort, group in zip(packed.cohorts, groups, strict=True):
            size, rows = len(cohort.members), len(cohort.span)
            if cohort.span.positions[-1] == self._last.first:
                assert group.own is not None
                allow = self._reader.allow(layer, cohort, self._last, cohort.span.positions)
                parts = self._reader.parts(layer, cohort, self._last, cohort.span)
                where = slice(len(ends), len(ends) + size)
                reduced.append(Group(where, size, [*parts, Part(*group.own, allow)], None))
                kept.append(cohort._replace(span=self._last))
                ends += range(start + rows - 1, start + size * rows, rows)
            start += size * rows
        # Only now: what is kept counts as made before.
        if keep:
            self._keep(layer, packed.cohorts, groups)
        last = _Packed(kept, packed.places[ends], packed.rows[ends], packed.hidden[ends])
        if kept:
            last.hidden = self._called(layer, last, Reading(reduced, read_own=False))
            self._add(layer, last)
        return last

    def _groups(self, layer: int, cohorts: list[Cohort]) -> list[Group]:
        return [
            Group(
                where,
                len(cohort.members),
                self._reader.parts(layer, cohort, cohort.span, cohort.span),
                self._reader.allow(layer, cohort, cohort.span, cohort.span.positions),
            )
            for cohort, where in zip(cohorts, stretches(cohorts), strict=True)
        ]

    def _called(
        self, layer: int, packed: _Packed, batch: Reading
    ) -> Float[Tensor, "packed d_model"]:
        self.token_layers += len(packed.places)
        return call_block(self.clean, layer, packed.hidden, packed.rows, batch)

    def _keep(self, layer: int, cohorts: list[Cohort], groups: list[Group]) -> None:
        for cohort, group in zip(cohorts, groups, strict=True):
            assert group.own is not None
            keys, values = group.own
            self.own.add(layer, Slab(cohort.members, cohort.span.positions, keys, values))

    # What comes out

    def _read(self, packed: _Packed | None) -> Float[Tensor, "intervention vocab"]:
        clean, n_layers = self.clean, self.clean.adapter.n_layers
        last = clean.states(n_layers)[-1].repeat(len(self.plans), 1)
        if packed is not None:
            at_end = np.flatnonzero(packed.places % clean.n == clean.n - 1)
            last[packed.places[at_end] // clean.n] = packed.hidden[at_end]
        for member, reach in enumerate(self.reaches):
            for replaced in reach.edits.get(n_layers, ()):
                for place in (replaced.positions == clean.n - 1).nonzero().flatten():
                    last[member] = replaced.values[place].to(last)
        logits = clean.logits.repeat(len(self.plans), 1)
        changed = [m for m, reach in enumerate(self.reaches) if reach.reaches_output]
        if changed:
            logits[changed] = clean.adapter.read_out(last[changed])
        return logits


def call_block(
    clean: Clean,
    layer: int,
    hidden: Float[Tensor, "packed d_model"],
    positions: Int[Tensor, " packed"],
    batch: Reading,
) -> Float[Tensor, "packed d_model"]:
    """One block of the model over rows of any conditions."""
    adapter = clean.adapter
    with reading(adapter.text_config, batch):
        output = adapter.decoder.layers[layer](
            hidden[None], attention_mask=None, **clean.arguments(layer, positions)
        )
    return (output[0] if isinstance(output, tuple) else output)[0]


def _same_rows(a: list[Cohort], b: list[Cohort]) -> bool:
    return len(a) == len(b) and all(
        one.members == other.members and one.span is other.span
        for one, other in zip(a, b, strict=True)
    )
