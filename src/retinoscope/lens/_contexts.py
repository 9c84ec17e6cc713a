"""An index of contextual states, opened: entries in order, and their states in parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import InputError
from ._context_card import ContextCard, Shard
from ._context_files import ContextFolder, Entries


@dataclass(frozen=True, eq=False)
class Contexts:
    """An opened index.

    Entry e of text layer number i has the number i * n + e, where n is the number of entries of
    one text layer.
    """

    folder: ContextFolder
    card: ContextCard

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens a finished index, whose states stay on disk.

        Raises:
            InputError: no index, an unfinished one, or a damaged one.
        """
        card = ContextCard.read(folder)
        contexts = cls(ContextFolder(folder), card)
        if not card.complete:
            raise InputError(
                f"{folder}: the index is not finished: repeat the command that builds it"
            )
        for shard, parts in zip(card.shards, contexts._parts, strict=True):
            shapes = {tuple(part.shape) for part in parts}
            if shapes - {(shard.entries, card.width)}:
                raise InputError(
                    f"{folder}: expected states of the shape {(shard.entries, card.width)}, got "
                    f"{shapes}: the index is damaged, build it anew"
                )
        if not contexts.n:
            raise InputError(f"{folder}: the index has no entries: its texts are too short")
        return contexts

    def __getstate__(self) -> dict[str, object]:
        """What is sent to another process, which opens the files itself."""
        return {"folder": self.folder, "card": self.card}

    @cached_property
    def n(self) -> int:
        """Number of entries of each text layer."""
        return sum(shard.entries for shard in self.card.shards)

    @cached_property
    def entries(self) -> Entries:
        """All entries; texts are numbered through all shards.

        Raises:
            InputError: entries that are not those of the texts.
        """
        parts = list(map(self.folder.entries, range(len(self.card.shards))))
        for number, (part, shard) in enumerate(zip(parts, self.card.shards, strict=True)):
            if not _belongs(part, shard):
                raise InputError(
                    f"{self.folder.path}: expected {shard.entries} entries of {shard.texts} texts "
                    f"in shard {number}, each the token at its position, got others: the index is "
                    "damaged, build it anew"
                )
        before = np.cumsum([0, *(shard.texts for shard in self.card.shards)]).tolist()
        return Entries(
            torch.cat([part.token_ids for part in parts]),
            torch.cat([part.texts + first for part, first in zip(parts, before, strict=False)]),
            torch.cat([part.positions for part in parts]),
            pa.concat_tables([part.table for part in parts]),
        )

    @cached_property
    def projection(self) -> Float[Tensor, "d_model width"] | None:
        """What the states were projected with; None if they are held as they are.

        Raises:
            InputError: another shape.
        """
        if not self.card.projected:
            return None
        projection, shape = self.folder.projection(), (self.card.d_model, self.card.width)
        if tuple(projection.shape) != shape:
            raise InputError(
                f"{self.folder.path}: expected a projection of the shape {shape}, got "
                f"{tuple(projection.shape)}: the index is damaged, build it anew"
            )
        return projection

    @cached_property
    def _parts(self) -> list[list[Float[Tensor, "entry width"]]]:
        """States of each shard and text layer, mapped into memory."""
        return [
            [self.folder.states(number, layer) for layer in self.card.text_layers]
            for number in range(len(self.card.shards))
        ]

    def shard(self, number: int) -> dict[int, Float[Tensor, "entry width"]]:
        """float16 states of one shard by text layer."""
        return dict(zip(self.card.text_layers, self._parts[number], strict=True))

    def tiles(self, most: int) -> list[tuple[int, Float[Tensor, "some width"]]]:
        """All states in order: the number of the first entry, and at most `most` states."""
        tiles: list[tuple[int, Tensor]] = []
        for row in range(len(self.card.text_layers)):
            first = row * self.n
            for parts in self._parts:
                for part in parts[row].split(most):
                    if len(part):
                        tiles.append((first, part))
                        first += len(part)
        return tiles

    def states(self, numbers: Int[Tensor, " some"]) -> Float[Tensor, "some width"]:
        """float32 states of entries, in the order of their numbers as given."""
        found = torch.empty(len(numbers), self.card.width)
        first = 0
        for row in range(len(self.card.text_layers)):
            for shard, parts in zip(self.card.shards, self._parts, strict=True):
                inside = ((numbers >= first) & (numbers < first + shard.entries)).nonzero()[:, 0]
                if len(inside):
                    found[inside] = parts[row][numbers[inside] - first].float()
                first += shard.entries
        return found


def _belongs(entries: Entries, shard: Shard) -> bool:
    """Whether each entry's token is the one at its position of its text."""
    table = entries.table
    if (len(table), len(entries.token_ids)) != (shard.texts, shard.entries):
        return False
    if not len(table):
        return not shard.entries
    tokens = table["token_ids"].combine_chunks()
    lengths = torch.tensor(tokens.value_lengths().to_numpy(zero_copy_only=False)).long()
    texts = entries.texts.clamp(0, len(lengths) - 1)
    if (texts != entries.texts).any() or (entries.positions < 0).any():
        return False
    if (entries.positions >= lengths[texts]).any():
        return False
    first = lengths.cumsum(0) - lengths
    ids = torch.tensor(tokens.flatten().to_numpy(zero_copy_only=False))
    return bool((ids[first[texts] + entries.positions] == entries.token_ids).all())
