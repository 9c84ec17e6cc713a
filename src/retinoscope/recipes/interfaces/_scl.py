"""The first stage of semantic completion learning, and its arms of the comparison.

Source: Ji et al. 2023, "Seeing What You Miss" (arXiv 2211.13437). The vision tower is frozen here;
there, everything is trained.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...encoders.small_tower import drawn_patches
from ...interfaces import SemanticCompletion, VisualInterface
from .._completion import HIDDEN_PATCHES, PairLosses
from ..encoders._views import pixels
from ._arm import Arm, FirstStage, SceneBatch


class SclStage(FirstStage):
    """Contrast, matching, hidden words and completion.

    Args:
        interface: gives the sizes.
        n_words: size of the vocabulary of the captions.
        completes: whether there is completion.
        negatives: see `PairLosses`.
        d_joint: width of the space of the contrast.
    """

    def __init__(
        self,
        interface: VisualInterface,
        n_words: int,
        *,
        completes: bool = True,
        negatives: int = 1,
        d_joint: int = 64,
    ) -> None:
        super().__init__()
        width = interface.shape.width
        self.completes = completes
        self.image, self.caption = (_contrast_head(width, d_joint) for _ in range(2))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.pairs = PairLosses(width, n_words, negatives)

    @property
    def passes(self) -> int:
        """Passes of a pair through the fusion per scene and step."""
        return 1 + 2 * self.pairs.negatives + 1 + 2 * self.completes

    def losses(
        self, interface: Any, batch: SceneBatch, generator: torch.Generator
    ) -> dict[str, Float[Tensor, ""]]:
        """ "contrast", "matching", "words" and, if it completes, "completion"."""
        image, captions = batch.seen["contrastive"], batch.captions
        part = self._part(interface, batch, generator) if self.completes else None
        words = interface.streams.words(captions.ids, captions.present)
        scores = self.scores(image, words)
        own = torch.arange(len(scores), device=scores.device)
        return {
            "contrast": (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2,
            **self.pairs(interface.streams, image, part, captions, words, scores, generator),
        }

    def scores(
        self,
        image: Float[Tensor, "image token width"],
        words: Float[Tensor, "text word width"],
    ) -> Float[Tensor, "image text"]:
        """Similarity of images and texts before the fusion, by token 0 of each, in nats."""
        images = F.normalize(self.image(image[:, 0]), dim=-1)
        texts = F.normalize(self.caption(words[:, 0]), dim=-1)
        return images @ texts.T * self.log_scale.exp().clamp(max=100)

    def _part(
        self, interface: Any, batch: SceneBatch, generator: torch.Generator
    ) -> Float[Tensor, "batch token width"]:
        n = interface.shape.patches
        kept = drawn_patches(len(batch.images), n, 1 - HIDDEN_PATCHES, generator)
        return interface.see_patches(pixels(batch.images), kept)


def _contrast_head(width: int, d_joint: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, d_joint)
    )


def _start_text(interface: SemanticCompletion, ground: Any) -> None:
    if interface.streams.text is not None:
        interface.start_text(ground.towers.text)


_ARM = Arm(
    "scl",
    {"layers": 2, "ff": 496},
    "image and text in two streams that read each other, with completion at weight 0.2",
    first=SclStage,
    weights={"completion": 0.2},
    more_ids=0,
    prepare=_start_text,
    against=("scl-none", "scl-passes", "scl-paper", "qformer"),
)

SCL_ARMS: dict[str, Arm] = {
    "scl": _ARM,
    "scl-paper": replace(
        _ARM,
        what="as scl, with completion at weight 1, as published",
        weights={"completion": 1.0},
        against=("scl-none", "scl-passes"),
    ),
    "scl-none": replace(
        _ARM,
        what="as scl, without completion, for as many steps",
        first=partial(SclStage, completes=False),
        against=(),
    ),
    "scl-passes": replace(
        _ARM,
        what="as scl, without completion; its passes go to further pairs that do not match",
        first=partial(SclStage, completes=False, negatives=2),
        against=(),
    ),
}
