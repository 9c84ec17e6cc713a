"""The second step of a two-step reader: a language model of letters that corrects what was read.

Source: Fang et al. 2021, "Read Like Humans" (ABINet, arXiv 2103.06495): a cloze model, in which no
slot sees its own letter, and a gate that mixes both.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...interfaces import ReaderShape, WordReading, sinusoids


class Speller(nn.Module):
    """Guesses each letter from the others, and mixes the guess with what was seen.

    Args:
        shape: of the reader.
        layers: of the language model.
    """

    def __init__(self, shape: ReaderShape, layers: int = 4) -> None:
        super().__init__()
        self.words = nn.Linear(shape.classes, shape.d, bias=False)
        self.layers = nn.ModuleList(_Cloze(shape) for _ in range(layers))
        self.head = nn.Linear(shape.d, shape.classes)
        self.gate = nn.Linear(2 * shape.d, shape.d)
        self.mixed = nn.Linear(shape.d, shape.classes)
        self.register_buffer("places", sinusoids(shape.slots, shape.d), persistent=False)
        self.places: Tensor

    def guesses(self, letters: Float[Tensor, "batch slot class"]) -> Float[Tensor, "batch slot d"]:
        """A state for each slot, which its own letter does not reach."""
        read = self.words(letters) + self.places
        state = self.places.expand(len(letters), -1, -1)
        for layer in self.layers:
            state = layer(state, read)
        return state

    def forward(self, reading: WordReading) -> Float[Tensor, "batch slot class"]:
        """The corrected logits; the language model does not train the reader."""
        spelled = self.guesses(reading.logits.detach().softmax(-1))
        share = self.gate(torch.cat([reading.slots, spelled], -1)).sigmoid()
        return self.mixed(share * reading.slots + (1 - share) * spelled)


class _Cloze(nn.Module):
    """Slots read the letters of all other slots; norms behind each part."""

    def __init__(self, shape: ReaderShape) -> None:
        super().__init__()
        self.read = nn.MultiheadAttention(shape.d, shape.heads, shape.dropout, batch_first=True)
        self.ff = nn.Sequential(
            nn.Linear(shape.d, shape.ff), nn.ReLU(), nn.Linear(shape.ff, shape.d)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(shape.d) for _ in range(2))
        self.register_buffer("own", torch.eye(shape.slots, dtype=torch.bool), persistent=False)
        self.own: Tensor

    def forward(
        self, state: Float[Tensor, "batch slot d"], letters: Float[Tensor, "batch slot d"]
    ) -> Float[Tensor, "batch slot d"]:
        found, _ = self.read(state, letters, letters, attn_mask=self.own, need_weights=False)
        state = self.norms[0](state + found)
        return self.norms[1](state + self.ff(state))
