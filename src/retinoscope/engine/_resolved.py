"""A condition as the forward passes take it: positions and values, and the edges it blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Replacement:
    """Positions whose states are replaced, and their new states.

    Attributes:
        added: for replaced embeddings, the features that the model adds to them after some of its
            blocks (DeepStack), one tensor for each of these.
    """

    positions: Int[Tensor, " token"]
    values: Float[Tensor, "token d_model"]
    added: tuple[Float[Tensor, "token d_model"], ...] = ()


@dataclass(frozen=True, eq=False)
class BlockedEdges:
    """Blocked attention edges: every query x key, at some layers and heads.

    Attributes:
        queries, keys: positions of the prompt.
        layers: blocks of the decoder.
        heads: query heads; None for all.
        generated: whether queries after the prompt lose these keys as well.
    """

    queries: Int[np.ndarray, " query"]
    keys: Int[np.ndarray, " key"]
    layers: frozenset[int]
    heads: tuple[int, ...] | None
    generated: bool


@dataclass(frozen=True, eq=False)
class ResolvedCondition:
    """One condition of a run, ready for the forward pass."""

    inputs: Replacement | None
    blocked: tuple[BlockedEdges, ...]
    patches: dict[int, tuple[Replacement, ...]]


def blocked_mask(
    blocked: Sequence[BlockedEdges],
    rows: Int[np.ndarray, " query"],
    n_keys: int,
    n: int,
    n_heads: int,
) -> Bool[np.ndarray, "head query key"]:
    """Returns True where an edge is blocked; a single head applies to all heads.

    Args:
        blocked: the edges.
        rows: positions of the queries; those from `n` on are generated.
        n_keys: number of keys up to and including the last query.
        n: length of the prompt.
        n_heads: number of query heads, used if any of `blocked` names heads.
    """
    per_head = any(edges.heads is not None for edges in blocked)
    mask = np.zeros((n_heads if per_head else 1, len(rows), n_keys), dtype=bool)
    for edges in blocked:
        hit = _among(rows, edges.queries) | (edges.generated & (rows >= n))
        if hit.any():
            heads = np.arange(len(mask)) if edges.heads is None else np.array(edges.heads)
            mask[np.ix_(heads, np.flatnonzero(hit), edges.keys)] = True
    return mask


def _among(
    rows: Int[np.ndarray, " query"], ascending: Int[np.ndarray, " token"]
) -> Bool[np.ndarray, " query"]:
    """As `np.isin`, several times faster for a few rows."""
    if not len(ascending):
        return np.zeros(len(rows), dtype=bool)
    place = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    return ascending[place] == rows
