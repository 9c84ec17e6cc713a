"""Stage 1: the vision tower learns each patch's kind and colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration

from ...data.scenes import COLORS, KINDS, SIGN_WORDS
from ._bank import AMBIGUOUS, Bank
from ._config import Recipe
from ._loop import Report, optimise

BACKGROUND_WEIGHT = 0.05
"""Four patches in five are background; at full weight, kinds are learned late or never."""


class PatchHead(nn.Module):
    """Predicts kind and colour from a patch's last hidden state; discarded after the stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.kind = nn.Linear(width, 1 + len(KINDS) + len(SIGN_WORDS))
        self.color = nn.Linear(width, 1 + len(COLORS))

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        normed = self.norm(hidden)
        return self.kind(normed), self.color(normed)


def pixels(images: np.ndarray) -> Float[Tensor, "batch 3 height width"]:
    """Normalises images as the processor does: channels first, scaled to -1..1."""
    return torch.tensor(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def patch_features(tower: nn.Module, images: np.ndarray) -> Float[Tensor, "batch slot width"]:
    """Returns the last hidden states of the patches, as LLaVA selects them (no class token)."""
    with torch.autocast("cpu", torch.bfloat16):
        output = tower(pixel_values=pixels(images), output_hidden_states=True)
    return output.hidden_states[-1][:, 1:].float()


def train_vision(
    model: LlavaForConditionalGeneration, bank: Bank, recipe: Recipe, work: Path, report: Report
) -> None:
    """Trains the vision tower in place on dense patch labels."""
    tower = model.model.vision_tower
    head = PatchHead(recipe.sizes.vision_width)
    kind_weight = torch.ones(head.kind.out_features)
    color_weight = torch.ones(head.color.out_features)
    kind_weight[0] = color_weight[0] = BACKGROUND_WEIGHT

    def loss_at(rng: np.random.Generator) -> Tensor:
        chosen = np.sort(rng.choice(len(bank), recipe.vision.batch, replace=False))
        kinds, colors = head(patch_features(tower, bank.images[chosen]))
        return 2 * _loss(kinds, bank.kinds[chosen], kind_weight) + _loss(
            colors, bank.colors[chosen], color_weight
        )

    modules = {"tower": tower, "head": head}
    optimise("vision", recipe.vision, modules, loss_at, seed=recipe.seed, work=work, report=report)


def _loss(logits: Tensor, labels: np.ndarray, weight: Tensor) -> Tensor:
    target = torch.from_numpy(labels.reshape(-1).astype(np.int64))
    return F.cross_entropy(logits.flatten(0, 1), target, weight, ignore_index=AMBIGUOUS)
