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

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Self

import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from pyarrow import parquet
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_torch
from torch import Tensor

from ..errors import InputError
from ..store import files_of_folder, write_bytes
from ._card import Card

CARD = "contexts.json"
PROJECTION = "projection.safetensors"
_FORMAT = "retinoscope contexts 1"
_Count = Annotated[int, Field(ge=0, lt=2**40)]


@dataclass(frozen=True)
class Shard:
    """How much a finished shard holds."""

    texts: _Count
    entries: _Count


@with_config(ConfigDict(strict=True))
@dataclass(frozen=True)
class ContextCard:
    """What an index holds.

    Attributes:
        model: the model's name.
        fingerprint: of the decoder that read the texts; see `decoder_fingerprint`.
        dtype, d_model, n_layers: of the decoder.
        text_layers: the layers whose states are held, numbered as in `run.hidden`.
        cap: most entries of one token string.
        question: the question to which the texts are the answer, in the model's conversation
            format; None for texts by themselves.
        corpus: hash of the texts.
        width: number of dimensions of the states held; less than `d_model` if they are projected
            at random, so that cosines are estimates.
        seed: of the projection.
        shards: the finished shards.
        complete: whether they hold the whole corpus.
        version: of retinoscope.
    """

    model: str
    fingerprint: str
    dtype: str
    d_model: _Count
    n_layers: _Count
    text_layers: tuple[_Count, ...]
    cap: _Count
    question: str | None
    corpus: str
    width: _Count
    seed: _Count
    shards: tuple[Shard, ...] = ()
    complete: bool = False
    version: str = field(default_factory=partial(version, "retinoscope"))
    format: str = _FORMAT

    @property
    def card(self) -> Card:
        """The same as the card of any fitted lens; it reads all layers, and is fitted to none."""
        return Card(
            kind="contextual",
            d_model=self.d_model,
            layers=(),
            model=self.model,
            fingerprint=self.fingerprint,
            dtype=self.dtype,
            n_layers=self.n_layers,
            n_prompts=sum(shard.texts for shard in self.shards),
            corpus_hash=self.corpus,
            settings={
                "text_layers": self.text_layers,
                "cap": self.cap,
                "question": self.question,
                "width": self.width,
                "seed": self.seed,
            },
            version=self.version,
        )

    @property
    def projected(self) -> bool:
        """Whether states are projected at random."""
        return self.width < self.d_model

    @property
    def settings(self) -> Self:
        """The same without what is finished, and by which version."""
        return replace(self, shards=(), complete=False, version="")

    def followed_by(self, shard: Shard, *, complete: bool) -> Self:
        """The same with one more finished shard."""
        return replace(self, shards=(*self.shards, shard), complete=complete)

    def write(self, folder: Path) -> None:
        """Writes it into `folder`; shards count as finished from then on."""
        write_bytes(folder / CARD, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the card of an index.

        Raises:
            InputError: no index, one of another format, or a damaged one.
        """
        if _of_latentlens(folder):
            raise InputError(
                f"{folder}: an index of LatentLens is a pickle, which can run code when it is "
                "opened: build it anew from its texts, `retinoscope fit-lens contextual MODEL "
                "concepts.txt --out FOLDER`"
            )
        try:
            card = _CARD.validate_json((folder / CARD).read_bytes())
        except (OSError, ValidationError) as error:
            what = str(error).splitlines()[0]
            raise InputError(f"expected an index of contexts, got {folder}: {what}") from None
        if card.format != _FORMAT:
            raise InputError(f"{folder}: expected the format {_FORMAT!r}, got {card.format!r}")
        return card  # type: ignore[return-value]


_CARD = TypeAdapter(ContextCard)


def is_index(folder: Path) -> bool:
    """Whether a folder holds an index of contexts, or one of LatentLens, which `read` refuses."""
    return (folder / CARD).is_file() or _of_latentlens(folder)


def _of_latentlens(folder: Path) -> bool:
    return any(folder.glob("layer_*/embeddings_cache.pt"))


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

    def only(self, kept: Bool[Tensor, " entry"]) -> Self:
        """Some of the entries, with all texts."""
        return replace(
            self,
            token_ids=self.token_ids[kept],
            texts=self.texts[kept],
            positions=self.positions[kept],
        )


def text_table(
    texts: Sequence[str], token_ids: Sequence[Sequence[int]], starts: Sequence[int]
) -> pa.Table:
    """The table of `Entries`."""
    return pa.table(
        {
            "text": pa.array(texts, pa.string()),
            "token_ids": pa.array(list(map(list, token_ids)), pa.list_(pa.int32())),
            "start": pa.array(starts, pa.int32()),
        }
    )


def write_shard(
    folder: Path, number: int, states: Mapping[int, Float[Tensor, "entry width"]], entries: Entries
) -> None:
    """Writes a shard, which counts once the card says so."""
    with files_of_folder(folder / shard_name(number)) as inside:
        for layer, rows in states.items():
            half = rows.to(torch.float16).cpu().contiguous()
            (inside / layer_name(layer)).write_bytes(save_torch({"states": half}))
        known = {"token_ids": entries.token_ids, "texts": entries.texts}
        known["positions"] = entries.positions
        held = {name: part.to(torch.int32).contiguous() for name, part in known.items()}
        (inside / "entries.safetensors").write_bytes(save_torch(held))
        parquet.write_table(entries.table, inside / "texts.parquet")


def write_projection(folder: Path, projection: Float[Tensor, "d_model width"]) -> None:
    """Writes the projection of an index."""
    write_bytes(folder / PROJECTION, save_torch({"projection": projection.contiguous()}))


def random_projection(d_model: int, width: int, seed: int) -> Float[Tensor, "d_model width"]:
    """A Gaussian projection, which keeps lengths on average.

    Source: Johnson and Lindenstrauss 1984.
    """
    numbers = torch.Generator().manual_seed(seed)
    return torch.randn(d_model, width, generator=numbers) / width**0.5


def read_entries(folder: Path, number: int) -> Entries:
    """The entries of one shard, with its texts numbered from 0.

    Raises:
        InputError: a damaged index.
    """
    file = folder / shard_name(number) / "entries.safetensors"
    token_ids, texts, positions = (
        mapped(file, name).long() for name in ("token_ids", "texts", "positions")
    )
    try:
        table = parquet.read_table(file.with_name("texts.parquet"))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file.parent}: the index is damaged ({error}): build it anew") from None
    return Entries(token_ids, texts, positions, table)


def mapped(file: Path, name: str) -> Tensor:
    """A tensor of a file, mapped into memory.

    Raises:
        InputError: a damaged index.
    """
    try:
        with safe_open(file, "pt") as opened:
            return opened.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file}: the index is damaged ({error}): build it anew") from None


def shard_name(number: int) -> str:
    """The folder of a shard."""
    return f"{number:05d}"


def layer_name(layer: int) -> str:
    """The file of a text layer."""
    return f"layer-{layer:02d}.safetensors"
