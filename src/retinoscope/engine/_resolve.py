"""Conditions (interventions applied together), checked and resolved to positions and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..arguments import wholes
from ..errors import CapabilityError, InputError
from ..tokens import TokenSet
from ._base_run import BaseRun
from ._edges import Edges
from ._interventions import Ablate, Condition, Intervention, Knockout, Patch
from ._resolved import BlockedEdges, Replacement, ResolvedCondition, blocked_mask
from .fill import Fill


def resolve(run: BaseRun, condition: Condition) -> ResolvedCondition:
    """Checks and resolves one condition.

    Raises:
        InputError: an intervention would change nothing or cannot be carried out: an empty set, a
            set of another run, a layer or head that the model (or the donor's) lacks, only edges
            that a causal decoder does not have, a row without any key left, two values for the
            state of one position at one layer, or a donor of another length.
        CapabilityError: a knockout on an attention implementation that takes no masks.
    """
    _require_donors(run, [condition])
    return _resolved(run, condition)


def _resolved(run: BaseRun, condition: Condition) -> ResolvedCondition:
    edits = _flat(condition)
    inputs = _ablations(run, [edit for edit in edits if isinstance(edit, Ablate)])
    blocked = tuple(_blocked_edges(run, edit) for edit in edits if isinstance(edit, Knockout))
    if blocked:
        run.vlm.capabilities.require("knockout")
        _refuse_empty_rows(run, blocked)
    patches: dict[int, tuple[Replacement, ...]] = {}
    for edit in edits:
        if isinstance(edit, Patch):
            for layer, replaced in _patched(run, edit):
                patches[layer] = (*patches.get(layer, ()), replaced)
    _refuse_overlaps(inputs, patches)
    return ResolvedCondition(inputs, blocked, patches)


def resolve_all(run: BaseRun, conditions: Sequence[Condition]) -> tuple[ResolvedCondition, ...]:
    """As `resolve`, for several.

    Raises:
        InputError: also no conditions, or a model that changed since the run was made.
    """
    if not len(conditions):
        raise InputError("expected at least one intervention, got none")
    run.require_current(values=False)
    _require_donors(run, conditions)
    return tuple(_resolved(run, condition) for condition in conditions)


def _require_donors(run: BaseRun, conditions: Sequence[Condition]) -> None:
    """Refuses patches of this model's states from before it changed; looks once at each donor."""
    edits = [edit for condition in conditions for edit in _flat(condition)]
    donors = {id(edit.donor): edit.donor for edit in edits if isinstance(edit, Patch)}
    for donor in donors.values():
        if donor.adapter.watch is run.adapter.watch:
            donor.require_current()


def _refuse_overlaps(
    inputs: Replacement | None, patches: Mapping[int, Sequence[Replacement]]
) -> None:
    """Refuses two values for one state: the last one would silently win."""
    for layer, patched in patches.items():
        ablated = [] if inputs is None or layer else [inputs]
        places = [place for edit in (*ablated, *patched) for place in edit.positions.tolist()]
        twice = [place for place, count in Counter(places).items() if count > 1]
        if twice:
            what = "an ablation and a patch" if ablated else "two patches"
            raise InputError(
                f"expected one value for the state of a position at a layer, got {what} for "
                f"position {min(twice)} at layer {layer}: subtract one token set from the other"
            )


def _flat(condition: Condition) -> list[Intervention]:
    edits = list(condition) if isinstance(condition, Sequence) else [condition]
    for edit in edits:
        if not isinstance(edit, Ablate | Knockout | Patch):
            raise InputError(
                f"expected Ablate, Knockout, Patch or a list of them, got a {type(edit).__name__}"
            )
    return edits


def _checked(run: BaseRun, tokens: TokenSet, what: str) -> TokenSet:
    if tokens.sequence is not run.sequence:
        raise InputError(f"expected {what} of this run, got a token set of another run")
    if not len(tokens):
        raise InputError(
            f"expected at least one token as {what}, got none: it would change nothing"
        )
    return tokens


def _ablations(run: BaseRun, ablations: Sequence[Ablate]) -> Replacement | None:
    if not ablations:
        return None
    taken: set[int] = set()
    positions: list[int] = []
    values: list[Tensor] = []
    added: list[tuple[Tensor, ...]] = []
    for ablation in ablations:
        tokens = _checked(run, ablation.tokens, "the tokens to ablate")
        twice = taken & set(tokens.positions)
        if twice:
            raise InputError(
                f"expected ablations of different tokens, got position {min(twice)} twice: "
                "subtract one set from the other"
            )
        taken |= set(tokens.positions)
        positions += tokens.positions
        values.append(ablation.fill.values(run, tokens.positions))
        added.append(_added(run, ablation.fill, tokens.positions))
    return Replacement(
        torch.tensor(positions, device=run.embeddings.device),
        torch.cat(values).to(run.embeddings),
        tuple(torch.cat(parts) for parts in zip(*added, strict=True)),
    )


def _added(run: BaseRun, fill: Fill, positions: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Returns the features that the model adds to a fill's embeddings after its first blocks."""
    own = run._clean.added
    features = fill.added(run, positions)
    if features and len(features) != len(own):
        raise InputError(
            f"expected a fill with features for {len(own)} blocks of the decoder, got one for "
            f"{len(features)}: it belongs to another model"
        )
    nothing = [part.new_zeros(len(positions), part.shape[1]) for part in own]
    return tuple(part.to(like) for part, like in zip(features or nothing, own, strict=True))


def _numbers(values: Iterable[int] | int | None, count: int, what: str) -> tuple[int, ...] | None:
    if values is None:
        return None
    chosen = tuple(sorted(set(wholes(values, what, 0, count - 1))))
    if not chosen:
        raise InputError(f"expected at least one of the {what}, got none: it would change nothing")
    return chosen


def _blocked_edges(run: BaseRun, knockout: Knockout) -> BlockedEdges:
    keys = np.array(_checked(run, knockout.source, "the source of a knockout").positions)
    generated = False
    if isinstance(knockout.target, str):
        generated = "generated" in knockout.target
        rows = np.array([run.n - 1] if "last" in knockout.target else [], dtype=int)
    else:
        rows = np.array(_checked(run, knockout.target, "the target of a knockout").positions)
    if not generated and keys.min() > rows.max():
        raise InputError(
            f"expected a source before its target, got one from position {keys.min()} for rows up "
            f"to {rows.max()}: a causal decoder has no such edge"
        )
    layers = _numbers(knockout.layers, run.adapter.n_layers, "layers")
    return BlockedEdges(
        queries=rows,
        keys=keys,
        layers=frozenset(range(run.adapter.n_layers) if layers is None else layers),
        heads=_numbers(knockout.heads, run.adapter.n_heads, "heads"),
        generated=generated,
    )


def _masks(run: BaseRun) -> Sequence[Edges]:
    """Returns the edges that each block's own mask allows; causal ones if it cannot be read."""
    try:
        return [run._clean.edges(layer) for layer in range(run.adapter.n_layers)]
    except CapabilityError:
        return [Edges(None)] * run.adapter.n_layers


def _refuse_empty_rows(run: BaseRun, blocked: Sequence[BlockedEdges]) -> None:
    masks = _masks(run)
    # In a causal decoder every row reads position 0, which is seldom hidden from any.
    plain = all(mask.allowed is None for mask in masks)
    if plain and all(0 not in edges.keys for edges in blocked):
        return
    rows = np.unique(np.concatenate([edges.queries for edges in blocked]))
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for layer, mask in enumerate(masks):
        active = tuple(i for i, edges in enumerate(blocked) if layer in edges.layers)
        if (id(mask), active) in seen or not active:
            continue
        seen.add((id(mask), active))
        chosen = [blocked[i] for i in active]
        kept = ~blocked_mask(chosen, rows, run.n, run.n, run.adapter.n_heads)
        kept &= mask.between(rows, np.arange(run.n))
        empty = rows[~kept.any(-1).all(0)]
        if len(empty):
            raise InputError(
                f"expected at least one key for every row, got none for position {empty[0]} at "
                f"layer {layer}: leave out some of its keys, or that row"
            )


def _patched(run: BaseRun, patch: Patch) -> list[tuple[int, Replacement]]:
    here = _checked(run, patch.positions, "the positions to patch")
    donor = patch.donor
    if patch.donor_positions is None:
        if donor.n != run.n:
            raise InputError(
                f"expected a donor run of {run.n} positions, got one of {donor.n}: name the "
                "positions to take with donor_positions"
            )
        there = here.positions
    else:
        there = _checked(donor, patch.donor_positions, "donor_positions").positions
        if len(there) != len(here):
            raise InputError(f"expected {len(here)} donor positions, got {len(there)}")
    if donor.adapter.d_model != run.adapter.d_model:
        raise InputError(
            f"expected a donor of width {run.adapter.d_model}, got {donor.adapter.d_model}"
        )
    layers = wholes(patch.layers, "layers", 0, run.adapter.n_layers)
    if not layers:
        raise InputError("expected at least one of the layers, got none: it would change nothing")
    named = layers if patch.donor_layers is None else patch.donor_layers
    donor_layers = wholes(named, "layers of the donor", 0, donor.adapter.n_layers)
    index = torch.tensor(here.positions, device=run.embeddings.device)
    return [
        (layer, Replacement(index, donor.hidden(donor_layer)[list(there)].to(run.embeddings)))
        for layer, donor_layer in zip(layers, donor_layers, strict=True)
    ]
