"""Exact counterfactuals that compute only what their interventions can change.

All conditions go through the decoder's blocks together. At each block:

1. `RecomputePlanner` has determined the rows that each condition recomputes. Conditions with the
   same rows form a `ConditionGroup`; a condition joins at the first block where it differs.
2. The rows of all groups are packed into one batch, so that each weight matrix is multiplied once.
   A row's state is the output of the block before or, if that did not compute it, the clean run's.
3. Patches and ablations overwrite states.
4. The block is called. Its attention reads `KVSegment`s: the clean run's keys, which all conditions
   share; those of earlier passes (`ConditionCache`); and those just computed from the rows.

The last block computes only the prompt's last position in full. docs/engine.md has a diagram.
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
from ._clean import Clean
from ._condition_cache import ConditionCache, KVBlock
from ._condition_groups import ConditionGroup, KVSource, packed_slices
from ._forward import ConditionBatch, forward
from ._recompute import Recomputation, Rows
from ._resolved import ResolvedCondition
from ._segment_attention import (
    KVSegment,
    PackedBatch,
    PackedGroup,
    StopForward,
    packed_attention,
)


@dataclass(eq=False)
class _PackedStates:
    """Residual states of condition groups, one row after the other.

    Attributes:
        groups: the groups, in the order of their rows.
        row_ids: (packed,) condition x n + position.
        positions: (packed,) position of each row.
        hidden: (packed, d_model) the residual stream.
    """

    groups: list[ConditionGroup]
    row_ids: Int[np.ndarray, " packed"]
    positions: Int[Tensor, " packed"]
    hidden: Float[Tensor, "packed d_model"]


class Incremental:
    """Conditions of one prompt on their way through the decoder.

    Args:
        clean: the run without interventions.
        conditions, recomputations: what each condition does, and what it has to recompute.
        cache: keys and values that the conditions computed in an earlier pass.
        done: number of leading positions which that pass computed.

    Attributes:
        cache: keys and values of all conditions, where they differ from the clean run's.
        token_layers: number of row-block pairs computed; a full pass computes n x blocks.
    """

    def __init__(
        self,
        clean: Clean,
        conditions: Sequence[ResolvedCondition],
        recomputations: Sequence[Recomputation],
        cache: ConditionCache | None = None,
        done: int = 0,
    ) -> None:
        self.clean = clean
        self.conditions = conditions
        self.recomputations = recomputations
        self.cache = cache or ConditionCache.empty(clean.adapter.n_layers)
        self.token_layers = 0
        self._done = done
        self._kv = KVSource(clean, conditions, self.cache)
        self._clipped: dict[tuple[int, int], Rows | None] = {}
        self._last = Rows(np.array([clean.n - 1]))

    @torch.no_grad()
    def compute_keys(self, stop: int) -> None:
        """Computes the rows before position `stop` and caches their keys and values."""
        self._pass(stop, keep=True, output=False)

    @torch.no_grad()
    def logits(self, *, keep: bool) -> Float[Tensor, "intervention vocab"]:
        """Returns float32 logits of the prompt's last position, one row per condition.

        Args:
            keep: cache the keys and values, so that `Steps` can continue from here.

        Raises:
            NonFiniteError: the logits are NaN or infinite.
        """
        logits = self._read_out(self._pass(self.clean.n, keep=keep, output=True))
        if not finite_logits(logits):
            raise self._not_finite(logits)
        return logits

    @torch.no_grad()
    def last_hidden(self) -> Float[Tensor, "intervention d_model"]:
        """Returns the last position's states after the last block, before the final norm."""
        return self._last_hidden(self._pass(self.clean.n, keep=False, output=True))

    def _not_finite(self, logits: Float[Tensor, "intervention vocab"]) -> NonFiniteError:
        """Returns the error for logits that are not finite; a plain pass locates the beginning."""
        clean, adapter = self.clean, self.clean.adapter
        member = int((~torch.isfinite(logits.amax(-1))).nonzero()[0])
        batch = ConditionBatch(adapter, clean.n, [self.conditions[member]])
        try:
            arguments = adapter.arguments(clean.inputs, 0, clean.n)
            forward(adapter, batch.embeds(clean.embeddings), arguments, batch=batch)
        except NonFiniteError as error:
            return NonFiniteError(f"condition {member} of {len(logits)}: {error}")
        what = "the logits of the incremental path (those of exact='reference' are finite)"
        return not_finite(adapter.model, what)

    def _pass(self, stop: int, *, keep: bool, output: bool) -> _PackedStates | None:
        """Takes the rows from `done` to `stop` through all blocks; None if the last has none."""
        states: _PackedStates | None = None
        n_layers = self.clean.adapter.n_layers
        for layer in range(n_layers):
            groups = self._groups(layer, stop)
            if not groups:
                states = None
                continue
            states = self._pack(layer, groups, states)
            self._overwrite(layer, states)
            if layer + 1 < n_layers:
                self._block(layer, states, keep)
            elif output:
                states = self._last_block(layer, states, keep)
            else:
                self._keep(layer, groups, self._keys_only(layer, states))
        self._done = stop
        return states

    # 1. Which rows

    def _groups(self, layer: int, stop: int) -> list[ConditionGroup]:
        """Groups conditions by the rows that they compute in this block, from `done` to `stop`."""
        members: dict[object, list[int]] = {}
        kinds: dict[object, tuple[Rows, bool]] = {}
        for member, recomputation in enumerate(self.recomputations):
            whole = recomputation.rows[layer]
            rows = None if whole is None else self._clip(whole, stop)
            if rows is not None:
                blocked = any(layer in edges.layers for edges in self.conditions[member].blocked)
                key = (id(rows), blocked)
                kinds[key] = rows, blocked
                members.setdefault(key, []).append(member)
        return [ConditionGroup(tuple(some), *kinds[key]) for key, some in members.items()]

    def _clip(self, rows: Rows, stop: int) -> Rows | None:
        if self._done == 0 and stop == self.clean.n:
            return rows
        key = (id(rows), stop)
        if key not in self._clipped:
            inside = (rows.positions >= self._done) & (rows.positions < stop)
            positions = rows.positions[inside]
            self._clipped[key] = Rows(positions) if len(positions) else None
        return self._clipped[key]

    # 2. and 3. Their states

    def _pack(
        self, layer: int, groups: list[ConditionGroup], before: _PackedStates | None
    ) -> _PackedStates:
        """States of the groups' rows: from `before` if it has them, else the clean run's."""
        if before is not None and _same_rows(before.groups, groups):
            return _PackedStates(groups, before.row_ids, before.positions, before.hidden)
        n, device = self.clean.n, self.clean.device
        row_ids = np.concatenate(
            [(np.array(g.members)[:, None] * n + g.rows.positions).ravel() for g in groups]
        )
        positions = torch.from_numpy(row_ids % n).to(device)
        hidden = self.clean.states(layer)[positions]
        if before is not None:
            order = np.argsort(before.row_ids)
            at = np.searchsorted(before.row_ids, row_ids, sorter=order)
            source = order[np.minimum(at, len(order) - 1)]
            known = before.row_ids[source] == row_ids
            target = torch.from_numpy(np.flatnonzero(known)).to(device)
            hidden[target] = before.hidden[torch.from_numpy(source[known]).to(device)]
        return _PackedStates(groups, row_ids, positions, hidden)

    def _overwrite(self, layer: int, states: _PackedStates) -> None:
        """Overwrites states at the positions that the conditions patch or ablate here."""
        start = 0
        for group in states.groups:
            for member in group.members:
                for edit in self.recomputations[member].edits.get(layer, ()):
                    positions = edit.positions.cpu().numpy()
                    # An edited row that is not recomputed already has the given state.
                    inside = np.isin(positions, group.rows.positions)
                    at = start + np.searchsorted(group.rows.positions, positions[inside])
                    chosen = torch.from_numpy(np.flatnonzero(inside)).to(edit.values.device)
                    values = edit.values[chosen].to(states.hidden)
                    states.hidden[torch.from_numpy(at).to(states.hidden.device)] = values
                start += len(group.rows)

    # 4. Through a block

    def _block(self, layer: int, states: _PackedStates, keep: bool) -> None:
        """Takes the packed rows through one block."""
        packed = self._packed_groups(layer, states.groups)
        states.hidden = self._call(layer, states, PackedBatch(packed))
        self._add_after(layer, states)
        if keep:
            self._keep(layer, states.groups, packed)

    def _keys_only(self, layer: int, states: _PackedStates) -> list[PackedGroup]:
        """Takes the packed rows through one block as far as their keys and values."""
        packed = self._packed_groups(layer, states.groups)
        with suppress(StopForward):
            self._call(layer, states, PackedBatch(packed, keys_only=True))
        return packed

    def _last_block(self, layer: int, states: _PackedStates, keep: bool) -> _PackedStates:
        """Takes the last position through the last block; of other rows only the keys."""
        if all(len(group.rows) == 1 for group in states.groups):
            self._block(layer, states, keep)
            return states
        packed = self._keys_only(layer, states)
        groups: list[ConditionGroup] = []
        reduced: list[PackedGroup] = []
        ends: list[int] = []
        start = 0
        for group, packed_group in zip(states.groups, packed, strict=True):
            size, n_rows = len(group.members), len(group.rows)
            if group.rows.positions[-1] == self._last.first:
                assert packed_group.computed is not None
                allowed = self._kv.allowed(layer, group, self._last, group.rows.positions)
                segments = self._kv.segments(layer, group, self._last, group.rows)
                segments.append(KVSegment(*packed_group.computed, allowed))
                where = slice(len(ends), len(ends) + size)
                reduced.append(PackedGroup(where, size, segments, None))
                groups.append(group._replace(rows=self._last))
                ends += range(start + n_rows - 1, start + size * n_rows, n_rows)
            start += size * n_rows
        # Only after `segments`, which takes everything cached for the keys of an earlier pass.
        if keep:
            self._keep(layer, states.groups, packed)
        last = _PackedStates(
            groups, states.row_ids[ends], states.positions[ends], states.hidden[ends]
        )
        if groups:
            last.hidden = self._call(layer, last, PackedBatch(reduced, read_computed=False))
            self._add_after(layer, last)
        return last

    def _packed_groups(self, layer: int, groups: list[ConditionGroup]) -> list[PackedGroup]:
        return [
            PackedGroup(
                where,
                len(group.members),
                self._kv.segments(layer, group, group.rows, group.rows),
                self._kv.allowed(layer, group, group.rows, group.rows.positions),
            )
            for group, where in zip(groups, packed_slices(groups), strict=True)
        ]

    def _call(
        self, layer: int, states: _PackedStates, batch: PackedBatch
    ) -> Float[Tensor, "packed d_model"]:
        self.token_layers += len(states.row_ids)
        return call_block(self.clean, layer, states.hidden, states.positions, batch)

    def _add_after(self, layer: int, states: _PackedStates) -> None:
        """Adds what the decoder adds after this block (DeepStack), edited by condition."""
        if layer >= len(self.clean.added):
            return
        table = self.clean.added[layer]
        values = table[states.positions.to(table.device)]
        for member in {m for group in states.groups for m in group.members}:
            inputs = self.conditions[member].inputs
            if inputs is not None:
                edited = member * self.clean.n + inputs.positions.cpu().numpy()
                _, at, which = np.intersect1d(states.row_ids, edited, return_indices=True)
                values[torch.from_numpy(at).to(table.device)] = inputs.added[layer][
                    torch.from_numpy(which).to(table.device)
                ]
        states.hidden = states.hidden + values.to(states.hidden)

    def _keep(self, layer: int, groups: list[ConditionGroup], packed: list[PackedGroup]) -> None:
        for group, packed_group in zip(groups, packed, strict=True):
            assert packed_group.computed is not None
            keys, values = packed_group.computed
            self.cache.add(layer, KVBlock(group.members, group.rows.positions, keys, values))

    # The output

    def _last_hidden(self, states: _PackedStates | None) -> Float[Tensor, "intervention d_model"]:
        clean, n_layers = self.clean, self.clean.adapter.n_layers
        last = clean.states(n_layers)[-1].repeat(len(self.conditions), 1)
        if states is not None:
            at_end = np.flatnonzero(states.row_ids % clean.n == clean.n - 1)
            last[states.row_ids[at_end] // clean.n] = states.hidden[at_end]
        for member, recomputation in enumerate(self.recomputations):
            for edit in recomputation.edits.get(n_layers, ()):
                for index in (edit.positions == clean.n - 1).nonzero().flatten():
                    last[member] = edit.values[index].to(last)
        return last

    def _read_out(self, states: _PackedStates | None) -> Float[Tensor, "intervention vocab"]:
        last = self._last_hidden(states)
        logits = self.clean.logits.repeat(len(self.conditions), 1)
        changed = [i for i, plan in enumerate(self.recomputations) if plan.changes_output]
        if changed:
            logits[changed] = self.clean.adapter.read_out(last[changed])
        return logits


def call_block(
    clean: Clean,
    layer: int,
    hidden: Float[Tensor, "packed d_model"],
    positions: Int[Tensor, " packed"],
    batch: PackedBatch,
) -> Float[Tensor, "packed d_model"]:
    """Runs one block of the model over packed rows of any conditions."""
    adapter = clean.adapter
    with packed_attention(adapter.text_config, batch):
        output = adapter.decoder.layers[layer](
            hidden[None], attention_mask=None, **clean.arguments(layer, positions)
        )
    return (output[0] if isinstance(output, tuple) else output)[0]


def _same_rows(a: list[ConditionGroup], b: list[ConditionGroup]) -> bool:
    return len(a) == len(b) and all(
        group.members == other.members and group.rows is other.rows
        for group, other in zip(a, b, strict=True)
    )
