"""What a lens reads: at each layer and position, the nearest words and how near they are.

The layers x n x vocabulary scores are never stored; see `_stream`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import arguments
from ..arguments import several, whole, wholes
from ..errors import CapabilityError, InputError
from ..models import Adapter, ModelState, in_turn
from ..tokens import Index, Positions
from ._head import Head, Unit
from ._stream import ranks_of, word_scores

if TYPE_CHECKING:
    import pyarrow

Kernel = Literal["torch", "triton"]
Word = str | int
"""A word, whose first piece counts, or a token id."""


@dataclass(frozen=True, eq=False)
class Lens:
    """Top-k words at some layers and positions, by one kind of lens.

    Layer 0 is the decoder's input, layer L the output of its last block. Row i of every array is
    `layers[i]`; column i is the token at `positions[i]`, whose index among the visual tokens of its
    image is `indices[i]`.

    Attributes:
        ids: (layers, n, top_k) token ids, the nearest word first.
        values: (layers, n, top_k) how near they are, in `unit`; see `probs` and `similarities`.
        positions: the n positions in the run.
        layers: the layers that were read.
        kind: the kind of lens.
        unit: "probability" or "similarity".
        log_sums: (layers, n) log-sum-exp of the logits; None for similarities.
    """

    ids: Int[Tensor, "layer token top_k"]
    values: Float[Tensor, "layer token top_k"]
    positions: tuple[int, ...]
    layers: tuple[int, ...]
    kind: str
    log_sums: Float[Tensor, "layer token"] | None = field(repr=False)
    _hidden: Float[Tensor, "layer token d_model"] = field(repr=False)
    _head: Head = field(repr=False)
    _adapter: Adapter = field(repr=False)
    _ranks: dict[int, Int[Tensor, " row"]] = field(default_factory=dict, repr=False)
    _sequence: Positions = field(default_factory=lambda: Positions(0), repr=False)
    _of: Callable[[], object] = field(default=lambda: None, repr=False)
    _state: ModelState | None = field(default=None, repr=False)

    @property
    def unit(self) -> Unit:
        """What `values` are: "probability" or "similarity"."""
        return self._head.unit

    @property
    def probs(self) -> Float[Tensor, "layer token top_k"]:
        """(layers, n, top_k) softmax probabilities of `ids` over the whole vocabulary.

        Raises:
            CapabilityError: a lens of similarities.
        """
        self._require_unit("probability")
        return self.values

    @property
    def similarities(self) -> Float[Tensor, "layer token top_k"]:
        """(layers, n, top_k) cosines of `ids`, from -1 to 1.

        Raises:
            CapabilityError: a lens of probabilities.
        """
        self._require_unit("similarity")
        return self.values

    @property
    def indices(self) -> tuple[Index | None, ...]:
        """For each column, the index among the visual tokens of its image; None for text."""
        visual = self._sequence.visual
        return tuple(visual[place][1] if place in visual else None for place in self.positions)

    @property
    def tokens(self) -> list[list[list[str]]]:
        """The strings of `ids`, nested as layers, positions, top-k."""
        text = self._texts(self.ids)
        return [[[text[index] for index in row] for row in layer] for layer in self.ids.tolist()]

    def words(self, ids: Sequence[int]) -> list[str]:
        """The strings of token ids, in order.

        Raises:
            InputError: not a token id.
        """
        known = wholes(ids, "token ids", 0, self._adapter.vocab_size - 1)
        return self._adapter.vocabulary.texts(known)

    @in_turn(lambda self: self._adapter.model)
    def logits(self, word: Word | Sequence[Word]) -> Float[Tensor, "*word layer token"]:
        """Logit of the first piece of `word` (or of a token id) at each layer and position.

        Costs one row of the unembedding per word, without a pass over the vocabulary. Several words
        give a leading axis.

        Raises:
            InputError: a word that the tokenizer does not know, no such token id, no words, or a
                model that has changed since.
            CapabilityError: a lens of similarities.
        """
        self._require_unit("probability")
        return self._scores(word)

    def prob(self, word: Word | Sequence[Word]) -> Float[Tensor, "*word layer token"]:
        """Softmax probability of the first piece of `word` (or of a token id); see `logits`.

        Raises:
            InputError: see `logits`.
            CapabilityError: a lens of similarities.
        """
        logits = self.logits(word)
        assert self.log_sums is not None
        return (logits - self.log_sums).exp()

    @in_turn(lambda self: self._adapter.model)
    def similarity(self, word: Word | Sequence[Word]) -> Float[Tensor, "*word layer token"]:
        """Cosine of the first piece of `word` (or of a token id) at each layer and position.

        Raises:
            InputError: see `logits`.
            CapabilityError: a lens of probabilities.
        """
        self._require_unit("similarity")
        return self._scores(word)

    @in_turn(lambda self: self._adapter.model)
    def rank(self, word: Word | Sequence[Word]) -> Int[Tensor, "*word layer token"]:
        """The number of words that are nearer than the first piece of `word`: 0 is the top-1.

        Takes one pass over the vocabulary for all words together, none for words requested before.
        Several words give a leading axis.

        Raises:
            InputError: see `logits`.
        """
        ids, is_list = self._goals(word)
        new = [index for index in dict.fromkeys(ids) if index not in self._ranks]
        if new:
            self._require_current()
            self._ranks.update(zip(new, self._ranked(new), strict=True))
        return self._shaped(torch.stack([self._ranks[index] for index in ids]), is_list)

    def _scores(self, word: Word | Sequence[Word]) -> Tensor:
        ids, is_list = self._goals(word)
        self._require_current()
        return self._shaped(self._scored(ids), is_list)

    def _scored(self, ids: Sequence[int]) -> Float[Tensor, "word row"]:
        """Scores of tokens; a kind whose entries are not tokens has its own."""
        return word_scores(self._head, self._rows, ids)

    def _ranked(self, ids: Sequence[int]) -> Int[Tensor, "word row"]:
        """Ranks of tokens; a kind whose entries are not tokens has its own."""
        return ranks_of(self._head, self._rows, ids)

    def _require_unit(self, unit: Unit) -> None:
        if self.unit != unit:
            has, method = (
                ("similarities", "similarity") if unit == "probability" else ("probs", "prob")
            )
            raise CapabilityError(
                f"the {self.kind} lens gives a {self.unit} of each word, not a {unit}: use "
                f".{has} or .{method}(word)"
            )

    def to_frame(self) -> pyarrow.Table:
        """One row per layer, token and rank among its nearest words.

        Columns: layer, image and index (among that image's visual tokens; both null for text),
        position (in the decoder's sequence), place (0 is the nearest), token_id, token, and prob or
        similarity.
        """
        import pyarrow as pa

        _, n, k = self.ids.shape
        ids = self.ids.cpu().flatten()
        layer, column, place = torch.meshgrid(
            torch.tensor(self.layers), torch.arange(n), torch.arange(k), indexing="ij"
        )
        text = self._texts(ids)
        where = self._sequence.columns(self.positions)
        return pa.table(
            {
                "layer": layer.flatten().numpy(),
                **{
                    name: pa.array(values, pa.int64()).take(column.flatten().numpy())
                    for name, values in where.items()
                },
                "place": place.flatten().numpy(),
                "token_id": ids.numpy(),
                "token": [text[index] for index in ids.tolist()],
                "prob" if self.unit == "probability" else "similarity": (
                    self.values.cpu().flatten().numpy()
                ),
            }
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes `to_frame` as Parquet and returns the path.

        Raises:
            InputError: an invalid path, a name that does not end in .parquet, or a folder that
                cannot be written.
        """
        from pyarrow import parquet

        goal = arguments.path(path)
        if goal.suffix != ".parquet":
            raise InputError(f"expected a file name that ends in .parquet, got {goal.name!r}")
        try:
            parquet.write_table(self.to_frame(), goal)
        except OSError as error:
            raise InputError(
                f"{goal}: cannot be written ({error}): choose another folder"
            ) from error
        return goal

    @property
    def of(self) -> object:
        """The run behind the lens, which `retinoscope.show` needs; None once it is deleted."""
        return self._of()

    def _require_current(self) -> None:
        """Refuses a new readout if the head has changed since the lens was made."""
        if self._state is not None:
            modules = self._head.modules
            before = self._state.hooks_on(modules)
            self._adapter.require(self._state, "lens", lambda now: now.hooks_on(modules) == before)

    @property
    def _rows(self) -> Float[Tensor, "row d_model"]:
        return self._hidden.flatten(0, 1)

    def _shaped(self, values: Tensor, is_list: bool) -> Tensor:
        """Reshapes (word, row) to (word, layer, token), or (layer, token) for a single word."""
        return (values if is_list else values[0]).unflatten(-1, self.ids.shape[:2])

    def _texts(self, ids: Tensor) -> dict[int, str]:
        """The string of each distinct id."""
        distinct = ids.unique().tolist()
        return dict(zip(distinct, self._adapter.vocabulary.texts(distinct), strict=True))

    def _goals(self, word: Word | Sequence[Word]) -> tuple[list[int], bool]:
        """Token ids, and whether a list of words was given."""
        single = isinstance(word, str | bytes | Mapping) or not getattr(word, "ndim", 1)
        if single or not isinstance(word, Iterable):
            return token_ids(self._adapter, [cast(Word, word)]), False
        return token_ids(self._adapter, list(word)), True


def token_ids(adapter: Adapter, words: Sequence[Word]) -> list[int]:
    """Ids of the first pieces of words; token ids stay as they are.

    Raises:
        InputError: a word that the tokenizer does not know, no such token id, or no words.
    """
    words = several(words, "words")
    if not words:
        raise InputError("expected at least one word, got none")
    return [_token_id(adapter, word) for word in words]


def _token_id(adapter: Adapter, word: Word) -> int:
    if isinstance(word, str):
        return adapter.vocabulary.first_piece(word)
    return whole(word, "words or token ids", 0, adapter.vocab_size - 1)
