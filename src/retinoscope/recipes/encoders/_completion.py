"""Semantic completion learning (SCL) as an objective of an encoder."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPVisionModel

from ...encoders.comparison import Objective, TowerSizes
from ...encoders.small_tower import aggregate, drawn_patches, encode
from ...interfaces import TwoStreams
from ...pocket.vocabulary import build_tokenizer
from .._captions import Captions
from .._completion import HIDDEN_PATCHES, PairLosses
from ._contrastive import Contrastive, info_nce
from ._pairs import PairBatch

_FUSION_LAYERS = 2
_WEIGHT = 0.2
"""Of completion; published is 1, at which matching was learned more slowly."""


class Completion(Contrastive):
    """Contrast, matching, hidden words and completion (Ji et al. 2023, arXiv 2211.13437).

    Image and text towers are trained through the fusion, which is not kept.
    """

    def __init__(self, tower: CLIPVisionModel, sizes: TowerSizes, objective: Objective) -> None:
        super().__init__(tower, sizes, objective)
        self.streams = TwoStreams(
            sizes.width, sizes.heads, sizes.text_ff, _FUSION_LAYERS, self.text
        )
        self.losses = PairLosses(sizes.width, len(build_tokenizer()))
        # The text tower is a part of the streams.
        self.modules: dict[str, nn.Module] = {
            "tower": tower,
            "scale": self.scale,
            "streams": self.streams,
            "losses": self.losses,
        }

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Float[Tensor, ""]:
        seen, captions = self.seen(batch, generator), Captions(batch.captions, batch.captions > 0)
        kept = drawn_patches(len(seen), self.sizes.grid**2, 1 - HIDDEN_PATCHES, generator)
        image, part = encode(self.tower, seen), encode(self.tower, seen, kept)
        images = aggregate(image, self.objective.aggregation)
        texts = self.text(batch.captions, self.dropped(batch, generator))
        losses = self.losses(
            self.streams,
            image,
            part,
            captions,
            self.streams.words(captions.ids, captions.present),
            images.float() @ texts.float().T * self.scale["log"].exp().clamp(max=100),
            generator,
        )
        contrast = info_nce(images, texts, self.scale["log"])
        return contrast + losses["matching"] + losses["words"] + _WEIGHT * losses["completion"]
