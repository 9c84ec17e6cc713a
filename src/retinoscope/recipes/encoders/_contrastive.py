"""What every objective has, and the contrastive one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPVisionModel

from ...encoders.comparison import Objective, TowerSizes
from ...encoders.small_tower import aggregate, drawn_patches, encode
from ...interfaces import TextTower
from ...pocket.vocabulary import build_tokenizer
from ._pairs import PairBatch
from ._views import view

_DROPPED_WORDS = 0.25
_SMALLEST = 0.85


class Training(ABC):
    """One objective applied to one tower.

    Attributes:
        modules: modules saved in a checkpoint, by name; "tower" is the encoder itself.
    """

    def __init__(self, tower: CLIPVisionModel, sizes: TowerSizes) -> None:
        self.tower, self.sizes = tower, sizes
        self.modules: dict[str, nn.Module] = {"tower": tower}

    @abstractmethod
    def loss(self, batch: PairBatch, generator: torch.Generator) -> Float[Tensor, ""]:
        """Returns the loss of one batch; random draws come from `generator` alone."""

    def after(self, step: int) -> None:
        """Makes further updates after a step of the optimiser."""
        return

    def kept(self) -> dict[str, nn.Module]:
        """Returns the modules that the finished encoder needs."""
        return {"tower": self.tower}

    def seen(
        self, batch: PairBatch, generator: torch.Generator
    ) -> Float[Tensor, "batch 3 side side"]:
        """Returns the single view of each image that most objectives train on."""
        return view(batch.images, generator, side=self.sizes.image, smallest=_SMALLEST)


class Contrastive(Training):
    """Symmetric InfoNCE of images and captions with a learned temperature (Radford et al. 2021).

    Aggregation, initial weights and patch sub-sampling follow Ranasinghe et al. 2022, section 3. A
    quarter of each caption's words is dropped, so that the text tower also handles short prompts.
    """

    def __init__(self, tower: CLIPVisionModel, sizes: TowerSizes, objective: Objective) -> None:
        super().__init__(tower, sizes)
        self.objective = objective
        self.text = TextTower(sizes, len(build_tokenizer()))
        self.scale = nn.ParameterDict({"log": nn.Parameter(torch.tensor(math.log(1 / 0.07)))})
        self.modules |= {"text": self.text, "scale": self.scale}

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Float[Tensor, ""]:
        kept = None
        if self.objective.kept < 1:
            n = self.sizes.grid**2
            kept = drawn_patches(len(batch.images), n, self.objective.kept, generator)
        tokens = encode(self.tower, self.seen(batch, generator), kept)
        images = aggregate(tokens, self.objective.aggregation)
        texts = self.text(batch.captions, self.dropped(batch, generator))
        return info_nce(images, texts, self.scale["log"])

    @staticmethod
    def dropped(batch: PairBatch, generator: torch.Generator) -> Bool[Tensor, "batch token"]:
        """Draws the words that the contrast does not read."""
        draws = torch.rand(batch.captions.shape, generator=generator, device=batch.captions.device)
        return draws < _DROPPED_WORDS

    def kept(self) -> dict[str, nn.Module]:
        return {"tower": self.tower, "text": self.text}


def info_nce(
    images: Float[Tensor, "batch width"], texts: Float[Tensor, "text width"], log_scale: Tensor
) -> Float[Tensor, ""]:
    """Mean cross-entropy of both directions; all vectors have length 1.

    Texts after the first `batch` are wrong for every image.
    """
    scores = log_scale.exp().clamp(max=100) * images.float() @ texts.float().T
    n = len(scores)
    target = torch.arange(n, device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores[:, :n].T, target)) / 2
