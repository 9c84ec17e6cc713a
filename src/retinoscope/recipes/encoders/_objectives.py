"""The objectives: the modules trained with the tower, and the loss of a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPVisionModel

from ...data.scenes import KINDS
from ...encoders.comparison import Objective, TowerSizes
from ...encoders.small_tower import drawn_patches, encode
from ...interfaces import MaeDecoder, hidden_error, patch_pixels
from ...pocket.vocabulary import build_tokenizer
from ._completion import Completion
from ._contrastive import Contrastive, Training
from ._pairs import PairBatch, named_kinds
from ._views import view

_HIDDEN_PATCHES = 0.75


class Captioning(Training):
    """Captioning by a decoder that reads all of the tower's tokens by cross-attention
    (CapPa without its parallel half, Tschannen et al. 2023)."""

    def __init__(self, tower: CLIPVisionModel, sizes: TowerSizes) -> None:
        super().__init__(tower, sizes)
        size = len(build_tokenizer())
        layer = nn.TransformerDecoderLayer(
            sizes.width, sizes.heads, sizes.text_ff, 0.0, F.gelu, batch_first=True, norm_first=True
        )
        self.head = nn.ModuleDict(
            {
                "words": nn.Embedding(size, sizes.width),
                "places": nn.Embedding(sizes.text_tokens, sizes.width),
                "blocks": nn.TransformerDecoder(layer, sizes.text_layers),
                "out": nn.Linear(sizes.width, size),
            }
        )
        for embedding in (self.head["words"], self.head["places"]):
            assert isinstance(embedding, nn.Embedding)
            nn.init.normal_(embedding.weight, std=0.1)
        self.modules["head"] = self.head

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Float[Tensor, ""]:
        tokens = encode(self.tower, self.seen(batch, generator))
        read, targets = batch.captions[:, :-1], batch.captions[:, 1:]
        n = read.shape[1]
        places: Any = self.head["places"]
        hidden = self.head["words"](read) + places.weight[:n]
        mask = nn.Transformer.generate_square_subsequent_mask(n, device=read.device)
        hidden = self.head["blocks"](hidden, tokens, tgt_mask=mask, tgt_is_causal=True)
        logits = self.head["out"](hidden).float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0)


class Mae(Training):
    """Masked autoencoding: three patches in four are hidden and reconstructed (He et al. 2022).

    The targets are unnormalised pixels: normalised per patch, plain ground would be pure noise.
    """

    def __init__(self, tower: CLIPVisionModel, sizes: TowerSizes) -> None:
        super().__init__(tower, sizes)
        self.head = MaeDecoder(sizes)
        self.modules["head"] = self.head

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Float[Tensor, ""]:
        seen = self.seen(batch, generator)
        n, many = self.sizes.grid**2, len(seen)
        kept = drawn_patches(many, n, 1 - _HIDDEN_PATCHES, generator)
        tokens = encode(self.tower, seen, kept)
        painted = self.head(tokens, kept)
        return hidden_error(painted, patch_pixels(seen, self.sizes.patch), kept)


class Distillation(Training):
    """Two large and two small crops of an image match a slowly moving teacher's prototypes;
    the teacher's outputs are centred and sharpened (DINO, Caron et al. 2021)."""

    _STUDENT, _TEACHER, _CENTRE, _MOMENTUM = 0.1, 0.05, 0.9, 0.99

    def __init__(self, tower: CLIPVisionModel, sizes: TowerSizes) -> None:
        super().__init__(tower, sizes)
        self.head = _PrototypeHead(sizes)
        self.teacher = nn.ModuleDict(
            {"tower": copy.deepcopy(tower), "head": copy.deepcopy(self.head)}
        )
        self.teacher.requires_grad_(False)
        self.teacher.register_buffer("centre", torch.zeros(sizes.prototypes))
        self.modules |= {"head": self.head, "teacher": self.teacher}

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Float[Tensor, ""]:
        patch, grid = self.sizes.patch, self.sizes.grid

        def crops(share: float, smallest: float, largest: float) -> Tensor:
            side = patch * max(1, round(grid * share))
            pair = [
                view(
                    batch.images, generator,
                    side=side, smallest=smallest, largest=largest, light=0.2,
                )
                for _ in range(2)
            ]  # fmt: skip
            return torch.cat(pair)

        large, small = crops(0.78, 0.65, 1.0), crops(0.45, 0.3, 0.55)
        with torch.no_grad():
            answers = self._answers(self.teacher["tower"], self.teacher["head"], large)
            centre: Any = self.teacher.centre
            wanted = ((answers - centre) / self._TEACHER).softmax(-1).chunk(2)
            self._mean = answers.mean(0)
        views = [
            *self._answers(self.tower, self.head, large).chunk(2),
            *self._answers(self.tower, self.head, small).chunk(2),
        ]
        terms = [
            -(target * (answer / self._STUDENT).log_softmax(-1)).sum(-1).mean()
            for number, target in enumerate(wanted)
            for other, answer in enumerate(views)
            if number != other
        ]
        return torch.stack(terms).mean()

    @staticmethod
    def _answers(tower: Any, head: nn.Module, seen: Tensor) -> Float[Tensor, "batch prototype"]:
        return head(encode(tower, seen)[:, 0]).float()

    @torch.no_grad()
    def after(self, step: int) -> None:
        centre: Any = self.teacher.centre
        centre.lerp_(self._mean, 1 - self._CENTRE)
        pairs = ((self.teacher["tower"], self.tower), (self.teacher["head"], self.head))
        for teacher, student in pairs:
            slow: list[Tensor] = [*teacher.parameters()]
            fast: list[Tensor] = [*student.parameters()]
            torch._foreach_lerp_(slow, fast, 1 - self._MOMENTUM)


class _PrototypeHead(nn.Module):
    def __init__(self, sizes: TowerSizes) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Linear(sizes.width, 2 * sizes.width),
            nn.GELU(),
            nn.Linear(2 * sizes.width, sizes.width),
        )
        self.prototypes = nn.Parameter(torch.randn(sizes.prototypes, sizes.width))

    def forward(self, hidden: Tensor) -> Tensor:
        return F.normalize(self.inner(hidden), dim=-1) @ F.normalize(self.prototypes, dim=-1).T


class Supervised(Training):
    """Which kinds the image shows, as 24 binary outputs of the class token."""

    def __init__(self, tower: CLIPVisionModel, sizes: TowerSizes) -> None:
        super().__init__(tower, sizes)
        self.head = nn.Linear(sizes.width, len(KINDS))
        self.modules["head"] = self.head

    def loss(self, batch: PairBatch, generator: torch.Generator) -> Float[Tensor, ""]:
        logits = self.head(encode(self.tower, self.seen(batch, generator))[:, 0]).float()
        return F.binary_cross_entropy_with_logits(logits, named_kinds(batch.captions))


_MAKERS: dict[str, Callable[[CLIPVisionModel, TowerSizes, Objective], Training]] = {
    "contrastive": Contrastive,
    "completion": Completion,
    "captioning": lambda tower, sizes, _: Captioning(tower, sizes),
    "mae": lambda tower, sizes, _: Mae(tower, sizes),
    "distillation": lambda tower, sizes, _: Distillation(tower, sizes),
    "supervised": lambda tower, sizes, _: Supervised(tower, sizes),
}


def training_for(
    objective: Objective, tower: CLIPVisionModel, sizes: TowerSizes, seed: int
) -> Training:
    """Builds the training of `tower` for an objective; its other modules start from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1_000_003 + seed)
        return _MAKERS[objective.kind](tower, sizes, objective)
