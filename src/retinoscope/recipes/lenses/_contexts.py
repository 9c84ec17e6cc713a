"""Indices of contextual states: a corpus of texts through a model's text decoder.

Source: LatentLens, Krojer et al. 2026 (arXiv 2602.00462), and its package's `extract.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ... import arguments
from ...arguments import several, whole, wholes
from ...data import Sample
from ...engine import VLM
from ...errors import InputError
from ...lens import ContextCard, ContextFolder, Contexts, Contextual, Entries, decoder_fingerprint
from ...memory import budget
from ...store import fingerprint_bytes
from ._admission import Admission
from ._settings import Progress
from ._texts import ReadText, TextReader

CAP = 50
"""Most entries of one token string, as published."""

_PUBLISHED = (1, 2, 4, 8, 16, 24)
_TEXTS = 1 << 12
"""Most texts in a shard, so that an interrupted build loses little."""


def published_layers(n_layers: int) -> tuple[int, ...]:
    """The text layers of LatentLens: 1, 2, 4, 8, 16, 24 and the last two before the output."""
    last = (n_layers - 2, n_layers - 1)
    inside = [layer for layer in _PUBLISHED if layer < n_layers]
    return tuple(sorted({*inside, *(max(layer, 0) for layer in last)}))


def build_contexts(
    vlm: VLM,
    texts: Sequence[str],
    out: str | os.PathLike[str],
    *,
    question: str | None = None,
    text_layers: Sequence[int] | Literal["all"] | None = None,
    cap: int = CAP,
    width: int | None = None,
    seed: int = 0,
    memory: str | int | None = None,
    progress: Progress | None = None,
) -> Contextual:
    """Builds an index of the states of texts, and opens it as a lens.

    Shards are written as they fill up. The same call continues where it was interrupted, and does
    nothing if the index is complete.

    Args:
        vlm: the model.
        texts: the corpus; see `corpus` and `captions`.
        out: the index's folder.
        question: take the texts as answers to it, in the model's conversation format; None for
            texts by themselves.
        text_layers: numbered as in `run.hidden`; "all"; or None for those of LatentLens.
        cap: most entries of one token string, first come first served.
        width: project the states at random to this many dimensions, so that cosines become
            estimates; None to keep them as they are.
        seed: of the projection.
        memory: most memory for a shard, such as "1GB"; half of what is free if None.
        progress: see `Progress`.

    Raises:
        InputError: invalid arguments, no texts, a text that is empty or too long, or a folder with
            another index.
        CapabilityError: the model does not read text without an image.
        StudyError: the disk is full; what is finished is kept.
    """
    path = arguments.path(out)
    texts = [arguments.text(text, "each text") for text in several(texts, "texts")]
    if not texts:
        raise InputError("expected at least one text, got none")
    # A model or a question that is refused leaves no claim on the folder.
    reader = TextReader(vlm, question)
    card = ContextCard(
        model=vlm.name,
        fingerprint=decoder_fingerprint(vlm.adapter),
        dtype=str(vlm.dtype).removeprefix("torch."),
        d_model=vlm.d_model,
        n_layers=vlm.n_layers,
        text_layers=_layers(vlm, text_layers),
        cap=whole(cap, "cap", 1),
        question=question,
        corpus=fingerprint_bytes(*(text.encode() for text in texts)),
        width=vlm.d_model if width is None else whole(width, "width", 1, vlm.d_model),
        seed=arguments.seed(seed),
    )
    most = budget(memory, torch.device("cpu"))
    _build(ContextFolder(path), card, texts, reader, most, progress)
    return Contextual(Contexts.open(path), memory)


def _build(
    folder: ContextFolder,
    card: ContextCard,
    texts: Sequence[str],
    reader: TextReader,
    most: int,
    progress: Progress | None,
) -> None:
    """Writes the shards that are not there yet, of about `most` bytes at most."""
    card = folder.begin(card)
    if card.complete:
        return
    admission = Admission(reader.vlm.adapter, card.cap)
    done = sum(shard.texts for shard in card.shards)
    for text in texts[:done]:
        reader.read(text).admit(admission)
    projection = _projection(folder, card)
    while not card.complete:
        shard = _OpenShard(card, projection)
        while done < len(texts) and not shard.full(most):
            shard.add(texts[done], reader, admission)
            done += 1
            if progress is not None:
                progress(done, len(texts), "texts")
        complete = done == len(texts)
        card = folder.add(card, shard.states(), shard.entries(), complete=complete)


def captions(samples: Sequence[Sample]) -> list[str]:
    """The distinct captions of samples, in order.

    Raises:
        InputError: they have none.
    """
    found = list(dict.fromkeys(text for sample in samples for text in sample.captions))
    if not found:
        raise InputError("expected samples with captions, got none: choose other data, or a corpus")
    return found


def _layers(vlm: VLM, chosen: Sequence[int] | Literal["all"] | None) -> tuple[int, ...]:
    if chosen is None:
        return published_layers(vlm.n_layers)
    if isinstance(chosen, str):
        arguments.one_of(chosen, ("all",), "text_layers")
        return tuple(range(vlm.n_layers + 1))
    layers = tuple(sorted(set(wholes(chosen, "text layers", 0, vlm.n_layers))))
    if not layers:
        raise InputError("expected at least one text layer, got none")
    return layers


def _projection(folder: ContextFolder, card: ContextCard) -> Float[Tensor, "d_model width"] | None:
    """A Gaussian projection, which keeps lengths on average (Johnson and Lindenstrauss 1984)."""
    if not card.projected:
        return None
    if card.shards:
        return folder.projection()
    numbers = torch.Generator().manual_seed(card.seed)
    projection = torch.randn(card.d_model, card.width, generator=numbers) / card.width**0.5
    folder.write_projection(projection)
    return projection


@dataclass(eq=False)
class _OpenShard:
    """A shard that is being filled."""

    card: ContextCard
    projection: Float[Tensor, "d_model width"] | None
    _rows: list[Float[Tensor, "layer entry width"]] = field(default_factory=list)
    _positions: list[list[int]] = field(default_factory=list)
    _texts: list[ReadText] = field(default_factory=list)

    def full(self, most: int) -> bool:
        """Whether it has enough texts, or its states take `most` bytes, once more to be written."""
        entries = sum(map(len, self._positions))
        held = 4 * entries * self.card.width * len(self.card.text_layers)
        return len(self._texts) >= _TEXTS or held >= most

    def add(self, text: str, reader: TextReader, admission: Admission) -> None:
        read = reader.read(text)
        positions = read.admit(admission)
        self._texts.append(read)
        self._positions.append(positions)
        if positions:
            # A text without entries needs no pass.
            rows = F.normalize(reader.states(read, self.card.text_layers, positions), dim=-1)
            if self.projection is not None:
                rows = F.normalize(rows @ self.projection.to(rows.device), dim=-1)
            self._rows.append(rows.to("cpu", torch.float16))

    def states(self) -> dict[int, Float[Tensor, "entry width"]]:
        empty = torch.empty(len(self.card.text_layers), 0, self.card.width, dtype=torch.float16)
        joined = torch.cat([empty, *self._rows], 1)
        return dict(zip(self.card.text_layers, joined, strict=True))

    def entries(self) -> Entries:
        return Entries.of(
            [read.text for read in self._texts],
            [read.token_ids for read in self._texts],
            [read.start for read in self._texts],
            self._positions,
        )
