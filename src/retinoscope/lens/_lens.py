"""The logit lens: each position's state after each layer, read out in the vocabulary.

The (layers + 1) x n x vocabulary logits are never stored; see `_stream`.
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
from ..arguments import one_of, several, whole, wholes
from ..errors import InputError
from ..models import Adapter, ModelState, finite, in_turn, not_finite
from ..tokens import Index, Position, Positions
from ._stream import ranks_of, read_out, word_logits

if TYPE_CHECKING:
    import pyarrow

Word = str | int
"""A word, whose first piece counts, or a token id."""


@dataclass(frozen=True, eq=False)
class Lens:
    """Top-k of the vocabulary at each layer and position.

    Layer 0 is the decoder's input, layer L the output of its last block; the final norm is applied
    once at every layer, so the last layer gives the model's own distribution.

    Column i of every array is the token at `positions[i]`, whose index among the visual tokens of
    its image is `indices[i]`.

    Attributes:
        ids: (layers + 1, n, top_k) token ids, the most probable first.
        probs: (layers + 1, n, top_k) their softmax probabilities over the whole vocabulary.
        positions: the n positions in the run.
        log_sums: (layers + 1, n) log-sum-exp of the logits.

    Source: nostalgebraist 2020; Neo et al. 2024, section 4.1.
    """

    ids: Int[Tensor, "layer token top_k"]
    probs: Float[Tensor, "layer token top_k"]
    positions: tuple[int, ...]
    log_sums: Float[Tensor, "layer token"] = field(repr=False)
    _hidden: Float[Tensor, "layer token d_model"] = field(repr=False)
    _adapter: Adapter = field(repr=False)
    _ranks: dict[int, Int[Tensor, " row"]] = field(default_factory=dict, repr=False)
    _sequence: Positions = field(default_factory=lambda: Positions(0), repr=False)
    _of: Callable[[], object] = field(default=lambda: None, repr=False)
    _state: ModelState | None = field(default=None, repr=False)

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
        """
        ids, is_list = self._goals(word)
        self._require_current()
        return self._shaped(word_logits(self._adapter, self._rows, ids), is_list)

    def prob(self, word: Word | Sequence[Word]) -> Float[Tensor, "*word layer token"]:
        """Softmax probability of the first piece of `word` (or of a token id); see `logits`.

        Raises:
            InputError: see `logits`.
        """
        return (self.logits(word) - self.log_sums).exp()

    @in_turn(lambda self: self._adapter.model)
    def rank(self, word: Word | Sequence[Word]) -> Int[Tensor, "*word layer token"]:
        """The number of tokens with a larger logit than the first piece of `word`: 0 is the top-1.

        Takes one pass over the vocabulary for all words together, none for words requested before.
        Several words give a leading axis.

        Raises:
            InputError: see `logits`.
        """
        ids, is_list = self._goals(word)
        new = [index for index in dict.fromkeys(ids) if index not in self._ranks]
        if new:
            self._require_current()
            self._ranks.update(zip(new, ranks_of(self._adapter, self._rows, new), strict=True))
        return self._shaped(torch.stack([self._ranks[index] for index in ids]), is_list)

    def to_frame(self) -> pyarrow.Table:
        """One row per layer, token and rank among its most probable words.

        Columns: layer, image and index (among that image's visual tokens; both null for text),
        position (in the decoder's sequence), place (0 is the most probable), token_id, token, prob.
        """
        import pyarrow as pa

        n_layers, n, k = self.ids.shape
        ids = self.ids.cpu().flatten()
        layer, column, place = torch.meshgrid(
            torch.arange(n_layers), torch.arange(n), torch.arange(k), indexing="ij"
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
                "prob": self.probs.cpu().flatten().numpy(),
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
        """Refuses a new readout if the unembedding has changed since the lens was made."""
        if self._state is not None:
            modules = (self._adapter.decoder.final_norm, self._adapter.unembedding)
            before = self._state.hooks_on(modules)
            self._adapter.require(self._state, "lens", lambda now: now.hooks_on(modules) == before)

    @property
    def _rows(self) -> Float[Tensor, "row d_model"]:
        return self._hidden.flatten(0, 1)

    def _shaped(self, values: Tensor, is_list: bool) -> Tensor:
        """Reshapes (word, row) to (word, layer, token), or (layer, token) for a single word."""
        return (values if is_list else values[0]).unflatten(-1, self.log_sums.shape)

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


@in_turn(lambda adapter: adapter.model)
@torch.no_grad()
def logit_lens(
    adapter: Adapter,
    hidden: Float[Tensor, "layer token d_model"],
    positions: Sequence[int],
    top_k: int = 5,
    words: Sequence[Word] = (),
    kernel: Literal["torch", "triton"] = "torch",
) -> Lens:
    """Reads residual-stream states out in the vocabulary, in one pass over it.

    Besides its results and `hidden`, which it keeps, it takes less than a tenth of the memory of
    all logits in float32.

    Args:
        hidden: (layers + 1, n, d_model) before the final norm.
        positions: the n positions in their run.
        words: words or token ids to rank in the same pass, which makes `Lens.rank` of them free.
        kernel: "triton" is the fused kernel on CUDA, which stores no logits at all. Both agree
            within rounding.

    Raises:
        InputError: no positions, `top_k` outside 1 to the size of the vocabulary, or an unknown
            word.
        CapabilityError: the kernel cannot run here, for this model or with this `top_k`.
        NonFiniteError: states whose readout is NaN or infinite.
    """
    n_layers, n, _ = hidden.shape
    if not n:
        raise InputError("expected at least one position, got none")
    top_k = whole(top_k, "top_k", 1, adapter.vocab_size)
    one_of(kernel, ("torch", "triton"), "kernel")
    goals = list(dict.fromkeys(token_ids(adapter, words))) if len(words) else []
    rows = hidden.flatten(0, 1)
    if kernel == "triton":
        from ._fused import fused_read_out

        readout = fused_read_out(adapter, rows, top_k, goals)
    else:
        readout = read_out(adapter, rows, top_k, goals)
    if not finite(readout.log_sums):
        layer, place = (~torch.isfinite(readout.log_sums.view(n_layers, n))).nonzero()[0].tolist()
        what = f"the lens of layer {layer} at position {positions[place]}"
        raise not_finite(adapter.model, what, lambda: adapter.read_out(hidden[layer, place]))
    return Lens(
        ids=readout.ids.unflatten(0, (n_layers, n)),
        probs=(readout.logits - readout.log_sums[:, None]).exp().unflatten(0, (n_layers, n)),
        positions=tuple(map(Position, positions)),
        log_sums=readout.log_sums.view(n_layers, n),
        _hidden=hidden,
        _adapter=adapter,
        _ranks=dict(zip(goals, readout.ranks, strict=True)),
    )
