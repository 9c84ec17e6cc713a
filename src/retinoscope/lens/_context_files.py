"""An index of contextual states on disk: what a text decoder holds at the words of a corpus.

    contexts.json                what was read, with which model; which shards are finished
    projection.safetensors       `projection` (d_model, width), if states are projected
    00000/layer-02.safetensors   `states` (entry, width) float16 of length 1, for each text layer
    00000/entries.safetensors    `token_ids`, `texts`, `positions` (entry,)
    00000/texts.parquet          text, token_ids, and where its own tokens start

An entry is one position of one text. Shards follow each other in the order of the corpus. States
are mapped into memory, so that only what is read takes memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from pyarrow import parquet
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import InputError
from ..store import files_of_folder, write_bytes
from ._context_card import CARD, ContextCard, Shard

_PROJECTION, _ENTRIES, _TEXTS = "projection.safetensors", "entries.safetensors", "texts.parquet"
_COLUMNS = ("token_ids", "texts", "positions")


@dataclass(frozen=True, eq=False)
class Entries:
    """What is known of the entries of some texts, beside their states.

    Attributes:
        token_ids: (entry,) the token at each.
        texts: (entry,) the number of its text.
        positions: (entry,) its position in the text's token ids.
        table: one row per text: text, token_ids, and start, its own first position.
    """

    token_ids: Int[Tensor, " entry"]
    texts: Int[Tensor, " entry"]
    positions: Int[Tensor, " entry"]
    table: pa.Table

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        token_ids: Sequence[Sequence[int]],
        starts: Sequence[int],
        positions: Sequence[Sequence[int]],
    ) -> Self:
        """The entries of some texts.

        Args:
            texts: as they were given.
            token_ids: what the model reads of each.
            starts: the first position of each text itself.
            positions: the positions of each that are entries.
        """
        rows = list(zip(token_ids, positions, strict=True))
        table = {
            "text": pa.array(texts, pa.string()),
            "token_ids": pa.array(list(map(list, token_ids)), pa.list_(pa.int32())),
            "start": pa.array(starts, pa.int32()),
        }
        return cls(
            _whole(ids[place] for ids, places in rows for place in places),
            _whole(number for number, (_, places) in enumerate(rows) for _ in places),
            _whole(chain.from_iterable(positions)),
            pa.table(table),
        )

    def only(self, kept: Bool[Tensor, " entry"]) -> Self:
        """Some of the entries, with all texts."""
        return replace(
            self,
            token_ids=self.token_ids[kept],
            texts=self.texts[kept],
            positions=self.positions[kept],
        )


def _whole(numbers: Iterable[int]) -> Int[Tensor, " entry"]:
    return torch.tensor(list(numbers), dtype=torch.long)


@dataclass(frozen=True)
class ContextFolder:
    """The files of an index.

    Attributes:
        path: the folder.
    """

    path: Path

    def begin(self, card: ContextCard) -> ContextCard:
        """Begins an index, or returns the card of the one that is to be continued.

        Raises:
            InputError: the folder holds another index.
        """
        before = ContextCard.read(self.path) if (self.path / CARD).exists() else card
        if not before.shards:
            card.write(self.path)
            return card
        wanted, found = asdict(card.settings), asdict(before.settings)
        for name, value in wanted.items():
            if value != found[name]:
                raise InputError(
                    f"{self.path}: expected an index with the same settings, got one with another "
                    f"{name}: choose another folder, or delete this one"
                )
        return before

    def add(
        self,
        card: ContextCard,
        states: Mapping[int, Float[Tensor, "entry width"]],
        entries: Entries,
        *,
        complete: bool,
    ) -> ContextCard:
        """Writes the next shard, then the card, from which on the shard counts.

        Args:
            card: of the shards so far.
            states: by text layer, of length 1; kept as float16.
            entries: what they are the states of.
            complete: whether this is the last shard.

        Returns:
            The card with this shard.

        Raises:
            StudyError: the disk is full; the shards so far are kept.
        """
        with files_of_folder(self._shard(len(card.shards))) as inside:
            for layer, rows in states.items():
                half = rows.to(torch.float16).cpu().contiguous()
                (inside / _layer(layer)).write_bytes(save({"states": half}))
            held = {name: getattr(entries, name).to(torch.int32).contiguous() for name in _COLUMNS}
            (inside / _ENTRIES).write_bytes(save(held))
            parquet.write_table(entries.table, inside / _TEXTS)
        shard = Shard(len(entries.table), len(entries.token_ids))
        card = card.followed_by(shard, complete=complete)
        card.write(self.path)
        return card

    def states(self, number: int, layer: int) -> Float[Tensor, "entry width"]:
        """float16 states of one shard at one text layer, mapped into memory.

        Raises:
            InputError: a damaged index.
        """
        return _mapped(self._shard(number) / _layer(layer), "states")

    def entries(self, number: int) -> Entries:
        """The entries of one shard, with its texts numbered from 0.

        Raises:
            InputError: a damaged index.
        """
        folder = self._shard(number)
        token_ids, texts, positions = (_mapped(folder / _ENTRIES, name).long() for name in _COLUMNS)
        if len({part.shape for part in (token_ids, texts, positions)}) > 1:
            raise InputError(f"{folder}: the index is damaged: build it anew")
        try:
            table = parquet.read_table(folder / _TEXTS)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(folder, error) from None
        return Entries(token_ids, texts, positions, table)

    def projection(self) -> Float[Tensor, "d_model width"]:
        """What the states are projected with.

        Raises:
            InputError: a damaged index.
        """
        return _mapped(self.path / _PROJECTION, "projection")

    def write_projection(self, projection: Float[Tensor, "d_model width"]) -> None:
        """Keeps what the states are projected with."""
        write_bytes(self.path / _PROJECTION, save({"projection": projection.contiguous()}))

    def _shard(self, number: int) -> Path:
        return self.path / f"{number:05d}"


def _layer(layer: int) -> str:
    return f"layer-{layer:02d}.safetensors"


def _mapped(file: Path, name: str) -> Tensor:
    try:
        with safe_open(file, "pt") as opened:
            return opened.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> InputError:
    return InputError(f"{file}: the index is damaged ({error}): build it anew")
