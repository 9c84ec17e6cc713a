"""Nearest contextual states: one pass over an index, tile by tile, for all states together.

A tile of the index is read and made float32 once; blocks of states go through it one after the
other. Neither all cosines nor all of the index are ever held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..memory import budget
from ..models import Adapter
from ._contexts import Contexts
from ._head import Head, Unit
from ._stream import Best, Tiles


class ContextHead(Head):
    """The entries of an index: scores are cosines with `queries`, or estimates of them."""

    unit: ClassVar[Unit] = "similarity"

    def __init__(self, adapter: Adapter, contexts: Contexts, memory: str | int | None) -> None:
        super().__init__(adapter)
        self.contexts = contexts
        self.memory = memory

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return ()

    @property
    def size(self) -> int:
        return self.contexts.n * len(self.contexts.card.text_layers)

    def queries(self, states: Float[Tensor, "row d_model"]) -> Float[Tensor, "row width"]:
        """States of length 1, projected as those of the index are."""
        rows = F.normalize(states.float(), dim=-1)
        projection = self.contexts.projection
        return rows if projection is None else F.normalize(rows @ projection.to(rows), dim=-1)

    def normed(self, rows: Float[Tensor, "row width"]) -> Float[Tensor, "row width"]:
        """Queries as they are."""
        return rows

    def scores(
        self, normed: Float[Tensor, "row width"], entries: slice | Tensor
    ) -> Float[Tensor, "row entry"]:
        numbers = torch.arange(self.size)[entries] if isinstance(entries, slice) else entries.cpu()
        return normed @ self.contexts.states(numbers).to(normed.device).T

    def everywhere(self, entries: Int[Tensor, " some"]) -> Int[Tensor, "text_layer some"]:
        """Numbers of entries of one text layer, in every text layer."""
        return (
            self.contexts.n * torch.arange(len(self.contexts.card.text_layers))[:, None] + entries
        )

    def tiles(self, rows: Float[Tensor, "row width"]) -> Tiles:
        """Blocks of rows and stretches of the index, within the budget."""
        tiles = Tiles.of(self, len(rows), rows.device)
        # A tile is held as float32, and once more while it is converted.
        entry = 8 * self.contexts.card.width
        width = max(1, min(tiles.width, budget(self.memory, rows.device) // entry))
        return Tiles(tiles.rows, width, tiles.vocabulary)


@dataclass(frozen=True, eq=False)
class EntriesByToken:
    """The entries of an index by their tokens.

    Attributes:
        token_ids: (entry,) of one text layer.
    """

    token_ids: Int[Tensor, " entry"]

    @cached_property
    def order(self) -> Int[Tensor, " entry"]:
        """Entries sorted by token."""
        return self.token_ids.argsort(stable=True)

    def entries(self, token_id: int) -> Int[Tensor, " some"]:
        """The entries of one token; empty if no text has it."""
        return (self.token_ids == token_id).nonzero()[:, 0]

    def groups(self, most: int) -> list[Int[Tensor, " some"]]:
        """Entries of whole tokens, about `most` at a time."""
        counts = torch.unique_consecutive(self.token_ids[self.order], return_counts=True)[1]
        sizes: list[int] = []
        for count in counts.tolist():
            if sizes and sizes[-1] + count <= most:
                sizes[-1] += count
            else:
                sizes.append(count)
        return list(self.order.split(sizes))


@torch.no_grad()
def nearest(
    head: ContextHead, queries: Float[Tensor, "row width"], top_k: int
) -> tuple[Int[Tensor, "row top_k"], Float[Tensor, "row top_k"]]:
    """Numbers of the nearest entries of all text layers together, and their cosines."""
    tiles = head.tiles(queries)
    blocks = queries.split(tiles.rows)
    bests = [Best(top_k) for _ in blocks]
    for first, half in head.contexts.tiles(tiles.width):
        tile = half.to(queries.device).float()
        for block, best in zip(blocks, bests, strict=True):
            best.add(block @ tile.T, first)
    return torch.cat([best.ids for best in bests]), torch.cat([best.values for best in bests])


@torch.no_grad()
def nearest_of(
    head: ContextHead, queries: Float[Tensor, "row width"], entries: Int[Tensor, " some"]
) -> Float[Tensor, " row"]:
    """The largest cosine with any of some entries of one text layer, in any text layer."""
    best = torch.full((len(queries),), -torch.inf, device=queries.device)
    tiles = head.tiles(queries)
    for part in head.everywhere(entries).flatten().split(tiles.width):
        found = torch.cat([head.scores(block, part).amax(1) for block in queries.split(tiles.rows)])
        best = torch.maximum(best, found)
    return best


@torch.no_grad()
def nearer_words(
    head: ContextHead,
    queries: Float[Tensor, "row width"],
    by_token: EntriesByToken,
    token_ids: Sequence[int],
) -> Int[Tensor, "word row"]:
    """The number of other tokens with a nearer entry than each of `token_ids` has."""
    goals = [nearest_of(head, queries, by_token.entries(token_id)) for token_id in token_ids]
    counts = torch.zeros(len(goals), len(queries), dtype=torch.long, device=queries.device)
    tiles = head.tiles(queries)
    for group in by_token.groups(max(1, tiles.width // len(head.contexts.card.text_layers))):
        numbers = head.everywhere(group)
        states = head.contexts.states(numbers.flatten()).to(queries.device).view(*numbers.shape, -1)
        tokens, which = by_token.token_ids[group].unique(return_inverse=True)
        # (entry, token): which entries are a token's.
        member = F.one_hot(which, len(tokens)).float().to(queries.device)
        for start in range(0, len(queries), tiles.rows):
            rows = slice(start, start + tiles.rows)
            cosines = queries[rows] @ states[0].T
            for more in states[1:]:
                torch.maximum(cosines, queries[rows] @ more.T, out=cosines)
            for count, goal, token_id in zip(counts, goals, token_ids, strict=True):
                nearer = ((cosines > goal[rows, None]).float() @ member) > 0
                # Its own best entry can be rounded otherwise here than in `nearest_of`.
                nearer[:, (tokens == token_id).to(nearer.device)] = False
                count[rows] += nearer.sum(1)
    return counts
