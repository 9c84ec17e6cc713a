"""The logit lens: what each position says in the vocabulary after each layer.

The readout of (layers + 1) x n x vocabulary numbers is never held: positions go through the
vocabulary in chunks, and of each chunk only the top-k and the log-sum-exp stay.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import InputError
from ..models import Adapter

if TYPE_CHECKING:
    import pyarrow

_CHUNK_NUMBERS = 1 << 22
"""Logits held at a time (16 MB in float32)."""


@dataclass(frozen=True, eq=False)
class Lens:
    """Top-k of the vocabulary at each layer and position.

    Layer 0 is the decoder's input, layer L the output of its last block; the final norm is applied
    once at every layer, so the last layer gives the model's own distribution.

    Attributes:
        ids: (layers + 1, n, top_k) token ids, the most probable first.
        probs: (layers + 1, n, top_k) their softmax probabilities over the whole vocabulary.
        positions: the n positions of the run.
        log_sums: (layers + 1, n) log-sum-exp of the logits.

    Source: nostalgebraist 2020; Neo et al. 2024, section 4.1.
    """

    ids: Int[Tensor, "layer token top_k"]
    probs: Float[Tensor, "layer token top_k"]
    positions: tuple[int, ...]
    log_sums: Float[Tensor, "layer token"] = field(repr=False)
    _hidden: Float[Tensor, "layer token d_model"] = field(repr=False)
    _adapter: Adapter = field(repr=False)

    @property
    def tokens(self) -> list[list[list[str]]]:
        """The strings of `ids`, nested as layers, positions, top-k."""
        text = self._adapter.vocabulary.text
        return [[[text(index) for index in row] for row in layer] for layer in self.ids.tolist()]

    def logits(self, word: str | int) -> Float[Tensor, "layer token"]:
        """Logit of the first piece of `word` (or of a token id) at each layer and position."""
        goal = self._goal(word)
        return self._streamed(lambda logits: logits[:, goal])

    def prob(self, word: str | int) -> Float[Tensor, "layer token"]:
        """Softmax probability of the first piece of `word` (or of a token id).

        Raises:
            InputError: the tokenizer does not know the word, or no such token id.
        """
        return (self.logits(word) - self.log_sums).exp()

    def rank(self, word: str | int) -> Int[Tensor, "layer token"]:
        """How many tokens have a larger logit than the first piece of `word`: 0 is the top-1.

        Raises:
            InputError: the tokenizer does not know the word, or no such token id.
        """
        goal = self._goal(word)
        return self._streamed(lambda logits: (logits > logits[:, goal, None]).sum(-1))

    def to_frame(self) -> pyarrow.Table:
        """One row per layer, position and place: layer, position, place, token_id, token, prob."""
        import pyarrow as pa

        n_layers, _, k = self.ids.shape
        ids = self.ids.cpu().flatten()
        layer, token, place = torch.meshgrid(
            torch.arange(n_layers), torch.tensor(self.positions), torch.arange(k), indexing="ij"
        )
        return pa.table(
            {
                "layer": layer.flatten().numpy(),
                "position": token.flatten().numpy(),
                "place": place.flatten().numpy(),
                "token_id": ids.numpy(),
                "token": self._adapter.vocabulary.texts(ids.tolist()),
                "prob": self.probs.cpu().flatten().numpy(),
            }
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes `to_frame` as Parquet and returns the path.

        Raises:
            InputError: the name does not end in .parquet, or the folder cannot be written.
        """
        from pyarrow import parquet

        goal = Path(path)
        if goal.suffix != ".parquet":
            raise InputError(f"expected a file name that ends in .parquet, got {goal.name!r}")
        try:
            parquet.write_table(self.to_frame(), goal)
        except OSError as error:
            raise InputError(
                f"{goal}: cannot be written ({error}): choose another place"
            ) from error
        return goal

    def _goal(self, word: str | int) -> int:
        if isinstance(word, str):
            return self._adapter.vocabulary.first_piece(word)
        if not 0 <= word < self._adapter.vocab_size:
            raise InputError(
                f"expected a token id from 0 to {self._adapter.vocab_size - 1}, got {word}"
            )
        return word

    @torch.no_grad()
    def _streamed(self, take: Callable[[Tensor], Tensor]) -> Tensor:
        parts = [take(logits) for _, logits in _chunks(self._adapter, self._hidden)]
        return torch.cat(parts).view(self._hidden.shape[:2])


@torch.no_grad()
def logit_lens(
    adapter: Adapter,
    hidden: Float[Tensor, "layer token d_model"],
    positions: tuple[int, ...],
    top_k: int = 5,
) -> Lens:
    """Reads residual-stream states out in the vocabulary.

    Args:
        hidden: (layers + 1, n, d_model) before the final norm.
        positions: the n positions in their run.

    Raises:
        InputError: no positions, or `top_k` outside 1 to the size of the vocabulary.
    """
    n_layers, n, _ = hidden.shape
    if not n:
        raise InputError("expected at least one position, got none")
    if not 1 <= top_k <= adapter.vocab_size:
        raise InputError(f"expected top_k from 1 to {adapter.vocab_size}, got {top_k}")
    ids = torch.empty(n_layers * n, top_k, dtype=torch.long, device=hidden.device)
    probs = torch.empty(n_layers * n, top_k, dtype=torch.float32, device=hidden.device)
    sums = torch.empty(n_layers * n, dtype=torch.float32, device=hidden.device)
    for where, logits in _chunks(adapter, hidden):
        total = logits.logsumexp(-1)
        best = logits.topk(top_k, dim=-1)
        ids[where], sums[where] = best.indices, total
        probs[where] = (best.values - total[:, None]).exp()
    return Lens(
        ids=ids.view(n_layers, n, top_k),
        probs=probs.view(n_layers, n, top_k),
        positions=positions,
        log_sums=sums.view(n_layers, n),
        _hidden=hidden,
        _adapter=adapter,
    )


def _chunks(
    adapter: Adapter, hidden: Float[Tensor, "layer token d_model"]
) -> Iterator[tuple[slice, Float[Tensor, "row vocab"]]]:
    """float32 logits of consecutive rows (layer by layer), a bounded number at a time."""
    rows = hidden.flatten(0, 1)
    size = max(1, _CHUNK_NUMBERS // adapter.vocab_size)
    for start in range(0, len(rows), size):
        where = slice(start, min(start + size, len(rows)))
        yield where, adapter.read_out(rows[where])
