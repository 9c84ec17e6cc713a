"""The contextual lens: the nearest words *in context*, among states of a corpus of texts.

    lens = run.lens(kind=rs.lens.Contextual.open("FOLDER"))
    lens.contexts[4][7][0]          # a *red* car
    lens.text_layers                # which text layer each of them is from

Source: LatentLens, Krojer et al. 2026 (arXiv 2602.00462).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Self, cast

import torch
from jaxtyping import Int
from torch import Tensor

from .. import arguments
from ..arguments import whole
from ..errors import CapabilityError, InputError
from ..memory import budget
from ..models import finite
from ..tokens import Position, RunWithStates
from ._card import Card
from ._contexts import Contexts
from ._fitted import FittedLens
from ._lens import Lens
from ._lens_of import Kernel
from ._nearest import ContextHead, EntriesByToken, nearer_words, nearest, nearest_of

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Context:
    """A word in its text; as a str, the text with the word between asterisks.

    Attributes:
        before, word, after: the text's tokens before this one, the token, and those after it.
        text: the text as it was given.
        position: of the token in what the model read.
        layer: the text layer whose state is meant.
    """

    before: str
    word: str
    after: str
    text: str
    position: int
    layer: int

    def __str__(self) -> str:
        space = self.word[: len(self.word) - len(self.word.lstrip())]
        return f"{self.before}{space}*{self.word.strip()}*{self.after}"


@dataclass(frozen=True, eq=False, kw_only=True)
class ContextualLens(Lens):
    """What `Contextual` reads: words in context. `ids` are the tokens of the entries.

    A word's similarity is that of its nearest entry, and its rank the number of other words with a
    nearer one.

    Attributes:
        entries: (layers, n, top_k) numbers of the nearest entries, through all text layers.
        estimated: whether cosines are estimates, since the index is projected at random.
    """

    entries: Int[Tensor, "layer token top_k"]
    estimated: bool
    _by_token: EntriesByToken = field(repr=False)

    @property
    def text_layers(self) -> Int[Tensor, "layer token top_k"]:
        """(layers, n, top_k) the text layer of each nearest entry, numbered as in `layers`."""
        layers = torch.tensor(self._contexts.card.text_layers, device=self.entries.device)
        return layers[self.entries // self._contexts.n]

    @cached_property
    def contexts(self) -> list[list[list[Context]]]:
        """The nearest words in their texts, nested as layers, positions, top-k."""
        known = {number: self._context(number) for number in self.entries.unique().tolist()}
        return [[[known[one] for one in row] for row in layer] for layer in self.entries.tolist()]

    def to_frame(self) -> pyarrow.Table:
        """As `Lens.to_frame`, with the columns text_layer and context."""
        import pyarrow as pa

        texts = [str(one) for layer in self.contexts for row in layer for one in row]
        layers = pa.array(self.text_layers.cpu().flatten().numpy())
        frame = super().to_frame().append_column("text_layer", layers)
        return frame.append_column("context", pa.array(texts, pa.string()))

    @property
    def _contexts(self) -> Contexts:
        return cast(ContextHead, self._head).contexts

    def _context(self, number: int) -> Context:
        card, known = self._contexts.card, self._contexts.entries
        row, entry = divmod(number, self._contexts.n)
        position = int(known.positions[entry])
        text = known.table.slice(int(known.texts[entry]), 1).to_pylist()[0]
        pieces = self._adapter.vocabulary.texts(text["token_ids"])
        start = text["start"]
        return Context(
            before="".join(pieces[start:position]).lstrip(),
            word=pieces[position],
            after="".join(pieces[position + 1 :]),
            text=text["text"],
            position=position,
            layer=card.text_layers[row],
        )

    def _known(self, ids: Sequence[int]) -> None:
        for token_id in ids:
            if not len(self._by_token.entries(token_id)):
                word = self._adapter.vocabulary.text(token_id)
                raise InputError(
                    f"expected a word of the index's texts, got {word!r} (token {token_id}): build "
                    "an index from texts that have it"
                )

    def _scored(self, ids: Sequence[int]) -> Tensor:
        self._known(ids)
        head = cast(ContextHead, self._head)
        return torch.stack(
            [nearest_of(head, self._rows, self._by_token.entries(one)) for one in ids]
        )

    def _ranked(self, ids: Sequence[int]) -> Tensor:
        self._known(ids)
        return nearer_words(cast(ContextHead, self._head), self._rows, self._by_token, ids)


class Contextual(FittedLens):
    """The nearest states of a corpus of texts in the same decoder, at any of its text layers.

    Attributes:
        contexts: the index of the texts' states.
        memory: most memory for a part of the index that is being compared, such as "1GB"; half of
            what is free if None.
    """

    name = "contextual"
    identity = "a text of the corpus, read at a text layer, finds itself with similarity 1"

    def __init__(self, contexts: Contexts, memory: str | int | None = None) -> None:
        """Raises InputError if `memory` is not an amount of memory."""
        budget(memory, torch.device("cpu"))
        self.contexts = contexts
        self.memory = memory

    @classmethod
    def open(cls, folder: str | os.PathLike[str], memory: str | int | None = None) -> Self:
        """Opens an index that was built by `retinoscope fit-lens contextual`.

        Raises:
            InputError: no index, an unfinished or damaged one, or an invalid `memory`.
        """
        return cls(Contexts.open(arguments.path(folder)), memory)

    def __getstate__(self) -> dict[str, object]:
        """What is sent to another process, which opens the index itself."""
        return {"contexts": self.contexts, "memory": self.memory}

    @cached_property
    def _by_token(self) -> EntriesByToken:
        return EntriesByToken(self.contexts.entries.token_ids)

    @property
    def card(self) -> Card:
        """The model it belongs to, and how the index was built."""
        return self.contexts.card.card

    @torch.no_grad()
    def read(
        self,
        run: RunWithStates,
        positions: Sequence[int],
        layers: Sequence[int],
        top_k: int,
        kernel: Kernel = "torch",
    ) -> ContextualLens:
        self.check(run.adapter)
        if kernel != "torch":
            raise CapabilityError(
                "the fused kernel reads logits, this lens gives cosines: use kernel='torch'"
            )
        head = ContextHead(run.adapter, self.contexts, self.memory)
        top_k, rows = whole(top_k, "top_k", 1, head.size), list(positions)
        states = torch.stack([head.queries(run.hidden(layer)[rows]) for layer in layers])
        if not finite(states):
            raise InputError("expected finite states, got NaN or infinity in this run")
        entries, values = nearest(head, states.flatten(0, 1), top_k)
        if not finite(values):
            raise InputError(
                f"{self.contexts.folder.path}: expected finite states, got NaN or infinity: the "
                "index is damaged, build it anew"
            )
        ids = self.contexts.entries.token_ids.to(entries.device)[entries % self.contexts.n]
        shape = states.shape[:2]
        return ContextualLens(
            ids=ids.unflatten(0, shape),
            values=values.unflatten(0, shape),
            positions=tuple(map(Position, positions)),
            layers=tuple(layers),
            kind=self.name,
            log_sums=None,
            _hidden=states,
            _head=head,
            _adapter=run.adapter,
            entries=entries.unflatten(0, shape),
            estimated=self.contexts.card.projected,
            _by_token=self._by_token,
        )

    def __repr__(self) -> str:
        card = self.contexts.card
        texts = sum(shard.texts for shard in card.shards)
        return f"Contextual({self.contexts.n} contexts of {texts} texts, {card.model})"
