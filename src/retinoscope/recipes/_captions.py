"""Captions of a batch: which are hard to tell apart, and hiding some of their words."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..pocket.vocabulary import SPECIAL

HIDDEN_WORD = SPECIAL.index("<unk>")
"""Stands in the place of a hidden word; no caption has it."""


@dataclass(frozen=True, eq=False)
class Captions:
    """The captions of a batch.

    Attributes:
        ids: token ids with start and end token, padded.
        present: True for each token that is not padding.
    """

    ids: Int[Tensor, "batch word"]
    present: Bool[Tensor, "batch word"]

    def chosen(self, rows: Int[Tensor, " row"]) -> Captions:
        """The captions of some rows."""
        return Captions(self.ids[rows], self.present[rows])

    def without(self, hidden: Bool[Tensor, "batch word"]) -> Captions:
        """The captions with `HIDDEN_WORD` in some places."""
        return replace(self, ids=self.ids.masked_fill(hidden, HIDDEN_WORD))


def drawn_words(
    captions: Captions, share: float, generator: torch.Generator
) -> Bool[Tensor, "batch word"]:
    """Draws a `share` of the words of each caption, at least one; never its start or end token.

    In the scenes' vocabulary every word is one token, so whole words are drawn.
    """
    place = torch.arange(captions.ids.shape[1], device=captions.ids.device)
    inner = (place > 0) & (place < captions.present.sum(1, keepdim=True) - 1)
    noise = torch.rand(inner.shape, generator=generator, device=inner.device)
    order = noise.masked_fill(~inner, 2.0).argsort(1).argsort(1)
    number = (share * inner.sum(1, keepdim=True)).round().clamp(min=1)
    return inner & (order < number)


def hard_negatives(
    scores: Float[Tensor, "image text"], generator: torch.Generator, each: int = 1
) -> tuple[Int[Tensor, " other_image"], Int[Tensor, " other_text"]]:
    """For each text other images, and for each image other texts, the likelier the nearer.

    Args:
        scores: in nats; pairs are on the diagonal.
        each: how many different ones; the first of all come first, then the second of all.
    """
    others = scores.float().masked_fill(
        torch.eye(len(scores), dtype=torch.bool, device=scores.device), -torch.inf
    )

    def drawn(rows: Tensor) -> Tensor:
        # Gumbel noise: draws without replacement, also where probabilities underflow.
        uniform = torch.rand(rows.shape, generator=generator, device=rows.device)
        noise = -(-uniform.clamp(1e-9, 1 - 1e-7).log()).log()
        return (rows + noise).topk(each, 1).indices.T.flatten()

    return drawn(others.T), drawn(others)
