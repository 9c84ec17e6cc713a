"""What an index of contextual states holds; its file in the index's folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from ..errors import InputError
from ..store import write_bytes
from ._card import Card

CARD = "contexts.json"
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
