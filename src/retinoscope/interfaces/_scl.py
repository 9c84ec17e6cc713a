"""Semantic completion learning's image stream as a visual interface."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ._interface import InterfaceTokens, Seen, VisualInterface
from ._text_tower import TextTower
from ._tower import TowerShape, build_tower, tower_tokens
from ._towers_file import TowersShape
from ._two_streams import TwoStreams


class SemanticCompletion(VisualInterface):
    """The image stream of SCL's fusion, read by a language model beside the empty text.

    That a language model reads it is our construction: Ji et al. 2023 (arXiv 2211.13437) have none
    and answer questions with a classifier on both streams. Without a text side (`n_words` 0), what
    only texts need is left out: the text tower, the text stream's last layer. The empty text is
    a single token, so in the image stream's attention to it, and in that token's attention to
    itself, queries and keys have no effect.

    Args:
        d_model: width of the language model.
        tower: sizes of the tower.
        layers, heads, ff: of each stream.
        n_words: size of the vocabulary of the texts that it can read; 0 without a text side.
    """

    needs = ("contrastive",)
    leading: ClassVar[int | None] = 1

    def __init__(
        self,
        d_model: int,
        tower: Mapping[str, int],
        layers: int = 2,
        heads: int = 4,
        ff: int = 496,
        n_words: int = 0,
    ) -> None:
        super().__init__()
        self.shape = shape = TowerShape(**tower)
        self.tower = build_tower(shape)
        self.n_tokens = 1 + shape.patches
        text = TextTower(TowersShape(**tower), n_words) if n_words else None
        self.streams = TwoStreams(shape.width, heads, ff, layers, text)
        self.language_projection = nn.Linear(shape.width, d_model)

    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        return {"contrastive": tower_tokens(self.tower, pixels)}

    @torch.no_grad()
    def see_patches(
        self, pixels: Float[Tensor, "batch 3 height width"], kept: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch token width"]:
        """The tower's tokens of images of which it gets only the patches in `kept`."""
        return tower_tokens(self.tower, pixels, kept)

    def forward(self, seen: Seen, *, origin: bool = False) -> InterfaceTokens:
        return InterfaceTokens(self.language_projection(self.streams.alone(seen["contrastive"])))

    @torch.no_grad()
    def start_text(self, tower: TextTower) -> None:
        """Starts the text side from a trained text tower, as SCL starts from a language model.

        Words that the tower does not know, which come last, keep the vectors that were drawn.
        """
        drawn = self.streams.text
        if drawn is None:
            raise ValueError("expected an interface with a text side, got one without")
        text = copy.deepcopy(tower).requires_grad_(True)
        known = text.words.weight
        words = torch.cat([known, drawn.words.weight[len(known) :]])
        text.words = nn.Embedding.from_pretrained(words, freeze=False)
        self.streams.text = text.train(self.training)

    def weights_without_text(self) -> dict[str, Tensor]:
        return {**super().weights_without_text(), "streams.empty": self.streams.empty_text()}
