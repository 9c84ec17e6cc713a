"""The part of VisionLAN that only training needs: it hides a letter, and reads what is left of it.

Source: Wang et al. 2021, "From Two to One" (arXiv 2108.09661), section 3.3: the masked
language-aware module.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ...interfaces import END, LetterTransformer, ParallelPrediction, ReaderShape, WordReading

_LEVEL = 0.25
"""A column belongs to a letter where its slot's attention is above this share of its largest."""


class LetterMask(nn.Module):
    """Where the letter of a given number is, learned without any label of places."""

    def __init__(self, shape: ReaderShape) -> None:
        super().__init__()
        self.number = nn.Embedding(shape.longest, shape.d)
        self.spread = nn.Linear(1, shape.positions)
        self.look = LetterTransformer(shape, 2)
        self.read = nn.Linear(shape.d, shape.d)
        self.score = nn.Linear(shape.d, 1)

    def forward(
        self, columns: Float[Tensor, "batch position d"], letter: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch position"]:
        """Shares from 0 (not this letter) to 1, one per column.

        Args:
            columns: of the reader's tower.
            letter: the number of the letter, from 0.
        """
        table = self.spread(self.number(letter)[..., None]).mT
        hidden = torch.tanh(table + self.read(self.look(columns)))
        return self.score(hidden).squeeze(-1).sigmoid()


class MaskedReading(nn.Module):
    """Hides a letter from the columns, and reads both what is left and what was hidden.

    Both paths share one transformer layer and one prediction.
    """

    def __init__(self, shape: ReaderShape) -> None:
        super().__init__()
        self.shape = shape
        self.mask = LetterMask(shape)
        self.reason = LetterTransformer(shape, 1)
        self.predict = ParallelPrediction(shape)

    def losses(
        self,
        columns: Float[Tensor, "batch position d"],
        mask: Float[Tensor, "batch position"],
        words: Int[Tensor, "batch slot"],
        letter: Int[Tensor, " batch"],
    ) -> dict[str, Float[Tensor, ""]]:
        """ "left", of the word without the letter, and "hidden", of the letter alone."""
        parts = {"left": 1 - mask, "hidden": mask}
        wanted = {"left": without_letter(words, letter), "hidden": only_letter(words, letter)}
        losses = {}
        for name, share in parts.items():
            slots, _ = self.predict(self.reason(columns * share[..., None]))
            losses[name] = word_loss(self.predict.head(slots), wanted[name])
        return losses


def word_loss(
    logits: Float[Tensor, "batch slot class"], words: Int[Tensor, "batch slot"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy of all letters of the batch and one end for each word."""
    ended = (words == END).cumsum(1) <= 1
    return F.cross_entropy(logits[ended], words[ended])


def without_letter(
    words: Int[Tensor, "batch slot"], letter: Int[Tensor, " batch"]
) -> Int[Tensor, "batch slot"]:
    """The words without the letter of this number; those behind it move up."""
    slots = torch.arange(words.shape[1], device=words.device)
    from_slot = slots + (slots >= letter[:, None]).long()
    return F.pad(words, (0, 1), value=END).gather(1, from_slot)


def only_letter(
    words: Int[Tensor, "batch slot"], letter: Int[Tensor, " batch"]
) -> Int[Tensor, "batch slot"]:
    """The letter of this number, and the end."""
    alone = torch.full_like(words, END)
    alone[:, 0] = words.gather(1, letter[:, None])[:, 0]
    return alone


def own_attention(
    reading: WordReading, letter: Int[Tensor, " batch"]
) -> Float[Tensor, "batch position"]:
    """Where the reader's own slot of each letter looks; without a gradient."""
    looks = reading.attention.detach()
    return looks.gather(1, letter[:, None, None].expand(-1, 1, looks.shape[2]))[:, 0]


def attention_mask(
    reading: WordReading, letter: Int[Tensor, " batch"], level: float = _LEVEL
) -> Float[Tensor, "batch position"]:
    """1 where the reader's own slot of this letter looks, 0 elsewhere."""
    own = own_attention(reading, letter)
    return (own >= level * own.amax(1, keepdim=True)).to(own.dtype)


def strips(
    n_columns: int, widths: Int[Tensor, " batch"], generator: torch.Generator
) -> Float[Tensor, "batch position"]:
    """1 on a strip of this many columns somewhere, 0 elsewhere: nothing is learned or looked at."""
    start = torch.rand(len(widths), generator=generator) * (n_columns - widths + 1)
    place = torch.arange(n_columns)
    first = start.long()[:, None]
    return ((place >= first) & (place < first + widths[:, None])).float()
