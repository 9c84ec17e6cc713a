"""One pass over a head in tiles: top-k, log-sum-exp and ranks, without storing the scores.

A tile is a block of rows (states) times a stretch of the vocabulary. Everything needed from a tile
is computed while it is in the cache, then the tile is dropped.

Top-k. A tile's stretch is cut into groups of tokens. A row's k largest logits lie in the k groups
with the largest maxima, since each of these holds at least one logit as large as any outside of
them. A row therefore costs one pass for the maxima and a sort of k groups. On the CPU, rows whose
maximum does not beat their k-th best so far are skipped: after a few tiles, nearly all of them.

Log-sum-exp. Within a tile it is summed in float32 around the row's maximum; tiles are combined in
float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ._head import Head

_WIDTH, _NUMBERS = 1 << 11, 1 << 21
"""Tokens per stretch and logits per tile: on the CPU 8 MB, which fit into its cache."""

_WIDTH_DEVICE, _NUMBERS_DEVICE = 1 << 13, 1 << 25
"""The same on accelerators, where a tile must fill the device."""

_SHARE = 32
"""A tile has at most this fraction (1 in 32) of all logits: with its results, below a tenth."""

_LEAST = 1 << 14
"""Logits in a tile if there are few logits in all (64 KB in float32)."""

_NORMED = 1 << 10
"""States normed at a time if only some words are read out."""

_GROUP, _GROUPS = 64, 32
"""Most tokens in a group; fewest groups in a tile, below which maxima are not vectorised."""


@dataclass(frozen=True)
class Readout:
    """The results that are kept instead of the scores.

    Attributes:
        ids: (row, top_k) entries of the head, the largest score first.
        scores: (row, top_k) float32.
        log_sums: (row,) float32 log-sum-exp over all entries; None unless scores are logits.
        ranks: (word, row) the number of scores that are larger than the word's.
    """

    ids: Int[Tensor, "row top_k"]
    scores: Float[Tensor, "row top_k"]
    log_sums: Float[Tensor, " row"] | None
    ranks: Int[Tensor, "word row"]


@dataclass(frozen=True)
class Tiles:
    """The division of rows x vocabulary into tiles.

    Attributes:
        rows: rows in a block.
        width: tokens in a stretch; the last one may be shorter.
        vocabulary: tokens in all.
    """

    rows: int
    width: int
    vocabulary: int

    @classmethod
    def of(cls, head: Head, n_rows: int, device: torch.device) -> Tiles:
        """The tiles for this many rows on a device."""
        size = head.size
        cpu = device.type == "cpu"
        width = min(size, _WIDTH if cpu else _WIDTH_DEVICE) if head.sliceable else size
        most = _NUMBERS if cpu else _NUMBERS_DEVICE
        numbers = min(most, max(_LEAST, n_rows * size // _SHARE))
        return cls(rows=max(1, min(n_rows, numbers // width)), width=width, vocabulary=size)

    @property
    def stretches(self) -> list[slice]:
        return [
            slice(start, min(start + self.width, self.vocabulary))
            for start in range(0, self.vocabulary, self.width)
        ]


@torch.no_grad()
def read_out(
    head: Head,
    hidden: Float[Tensor, "row d_model"],
    top_k: int,
    words: Sequence[int] = (),
) -> Readout:
    """Top-k, ranks of `words` and, of logits, log-sum-exp in one pass over the head's entries."""
    parts: list[Readout] = []
    for tiles, normed in _blocks(head, hidden):
        best, larger = Best(top_k), _Larger(head, normed, words, tiles)
        total = _LogSum() if head.unit == "probability" else None
        for stretch in tiles.stretches:
            scores = head.scores(normed, stretch)
            best.add(scores, stretch.start)
            larger.add(scores)
            if total is not None:
                total.add_and_overwrite(scores)
            # Otherwise it would live until the next tile exists, and two would be held.
            del scores
        parts.append(Readout(best.ids, best.values, total and total.value, larger.counts))
    sums = [part.log_sums for part in parts if part.log_sums is not None]
    return Readout(
        ids=torch.cat([part.ids for part in parts]),
        scores=torch.cat([part.scores for part in parts]),
        log_sums=torch.cat(sums) if sums else None,
        ranks=torch.cat([part.ranks for part in parts], 1),
    )


@torch.no_grad()
def ranks_of(
    head: Head, hidden: Float[Tensor, "row d_model"], words: Sequence[int]
) -> Int[Tensor, "word row"]:
    """The number of entries with a larger score than each word, in one pass over all of them."""
    parts: list[Tensor] = []
    for tiles, normed in _blocks(head, hidden):
        larger = _Larger(head, normed, words, tiles)
        for stretch in tiles.stretches:
            larger.add(head.scores(normed, stretch))
        parts.append(larger.counts)
    return torch.cat(parts, 1)


@torch.no_grad()
def word_scores(
    head: Head, hidden: Float[Tensor, "row d_model"], words: Sequence[int]
) -> Float[Tensor, "word row"]:
    """float32 scores of the entries `words`, from their rows of the head alone.

    All scores are computed, one block of rows at a time, only if the head must be called whole.
    """
    rows = _NORMED if head.sliceable else Tiles.of(head, len(hidden), hidden.device).rows
    goals = torch.tensor(words, device=hidden.device)
    return torch.cat([head.scores(head.normed(part), goals).T for part in hidden.split(rows)], 1)


def _blocks(
    head: Head, hidden: Float[Tensor, "row d_model"]
) -> Iterator[tuple[Tiles, Float[Tensor, "row width"]]]:
    """Yields normed blocks of rows; all normed rows could take a tenth of the scores' memory."""
    tiles = Tiles.of(head, len(hidden), hidden.device)
    for part in hidden.split(tiles.rows):
        yield tiles, head.normed(part)


@dataclass
class Best:
    """Running top-k of each row.

    Attributes:
        ids, values: (row, k), the largest first; fewer than k until enough tokens were seen.
    """

    k: int
    ids: Tensor = field(init=False)
    values: Tensor = field(init=False)
    _seen: int = 0

    def add(self, logits: Float[Tensor, "row token"], first: int) -> None:
        """Adds a tile whose first token has the id `first`."""
        size = _group_size(logits.shape[1], self.k)
        groups = logits.shape[1] // size
        head = logits[:, : groups * size].unflatten(1, (size, groups))
        # Every groups-th token forms a group, so that the maxima run along whole vectors.
        maxima = head.amax(1) if size > 1 else logits
        if self._seen < self.k:
            self._join(logits, maxima, size, first, None)
        elif logits.device.type != "cpu":
            # Counting the rows would stall the device.
            self._join(logits, maxima, size, first, None)
        else:
            top = maxima.amax(1)
            if groups * size < logits.shape[1]:
                top = torch.maximum(top, logits[:, groups * size :].amax(1))
            # Not `top > last`, so that a row with NaN is never skipped, as in `topk`.
            rows = (~(top <= self.values[:, -1])).nonzero()[:, 0]
            if len(rows):
                self._join(logits, maxima[rows], size, first, rows)
        self._seen += logits.shape[1]

    def _join(
        self, logits: Tensor, maxima: Tensor, size: int, first: int, rows: Tensor | None
    ) -> None:
        values, ids = _candidates(logits, maxima, size, self.k, rows)
        ids = ids + first
        if self._seen:
            old = slice(None) if rows is None else rows
            values = torch.cat([self.values[old], values], 1)
            ids = torch.cat([self.ids[old], ids], 1)
        best = values.topk(min(self.k, values.shape[1]), dim=1)
        ids = ids.gather(1, best.indices)
        if rows is None:
            self.values, self.ids = best.values, ids
        else:
            self.values[rows], self.ids[rows] = best.values, ids


def _group_size(width: int, k: int) -> int:
    """Tokens per group; 1 if groups would not shorten the sort."""
    size = _GROUP
    while size > 1 and width // size < max(_GROUPS, 2 * k):
        size //= 2
    return size if size >= 4 else 1


def _candidates(
    logits: Float[Tensor, "row token"],
    maxima: Float[Tensor, "active group"],
    size: int,
    k: int,
    rows: Tensor | None,
) -> tuple[Float[Tensor, "active some"], Int[Tensor, "active some"]]:
    """Logits of the k best groups, and their places in the tile."""
    width = logits.shape[1]
    if size == 1:
        best = maxima.topk(min(k, width), dim=1)
        return best.values, best.indices
    groups = width // size
    steps = torch.arange(0, size * groups, groups, device=logits.device)
    chosen = maxima.topk(k, dim=1).indices
    places = (chosen[:, :, None] + steps).flatten(1)
    rest = torch.arange(size * groups, width, device=logits.device)
    places = torch.cat([places, rest.expand(len(places), -1)], 1)
    if rows is None:
        return logits.gather(1, places), places
    return logits[rows[:, None], places], places


@dataclass
class _LogSum:
    """Running log-sum-exp of each row."""

    _sum: Tensor | None = None

    def add_and_overwrite(self, logits: Float[Tensor, "row token"]) -> None:
        """Adds a tile, overwriting its memory."""
        # A row of only -inf must give -inf, not -inf minus -inf.
        top = logits.amax(1, keepdim=True).clamp_(min=torch.finfo(logits.dtype).min)
        # Powers of 2 take a quarter of the time of powers of e on some CPUs.
        powers = logits.sub_(top).mul_(math.log2(math.e)).exp2_()
        part = powers.sum(1).double().log_() + top[:, 0]
        self._sum = part if self._sum is None else torch.logaddexp(self._sum, part)

    @property
    def value(self) -> Float[Tensor, " row"]:
        assert self._sum is not None
        return self._sum.float()


class _Larger:
    """Running counts of the logits that are larger than those of given words."""

    def __init__(
        self,
        head: Head,
        normed: Float[Tensor, "row d_model"],
        words: Sequence[int],
        tiles: Tiles,
    ) -> None:
        self.counts = torch.zeros(len(words), len(normed), dtype=torch.long, device=normed.device)
        self._goals = torch.empty(len(words), len(normed), device=normed.device)
        for number in {word // tiles.width for word in words}:
            # Use the word's own tile, not its row alone: a product of another shape is rounded
            # differently, and the word could be larger than itself.
            stretch = tiles.stretches[number]
            logits = head.scores(normed, stretch)
            for row, word in enumerate(words):
                if word // tiles.width == number:
                    self._goals[row] = logits[:, word - stretch.start]
            del logits

    def add(self, logits: Float[Tensor, "row token"]) -> None:
        for count, goal in zip(self.counts, self._goals, strict=True):
            # Summing booleans in the default 64 bits would copy the tile at twice its size.
            count += (logits > goal[:, None]).sum(1, dtype=torch.int32)
