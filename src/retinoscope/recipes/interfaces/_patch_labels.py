"""Batches of scenes with the kind at each patch, and the loss of predicting it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ...data.scenes import KINDS, SIGN_WORDS
from ...interfaces import to_pixels
from ..pocket._bank import AMBIGUOUS, BACKGROUND, Bank
from ..pocket._vision import BACKGROUND_WEIGHT

_LIGHT = 0.15
"""Largest change of brightness, where the whole range is 2."""
_GROUND_SHARE = 0.1
"""Weight of all ground of a scene, where each of its kinds has weight 1."""


@dataclass(frozen=True)
class LabelledScenes:
    """Scenes of one step.

    Attributes:
        chosen: their numbers in the bank, in order.
        pixels: as a tower takes them.
        labels: of each patch, as in `Bank.kinds`.
    """

    chosen: Int[np.ndarray, " batch"]
    pixels: Float[Tensor, "batch 3 side side"]
    labels: Int[Tensor, "batch patch"]

    def flipped(self, rng: np.random.Generator) -> LabelledScenes:
        """Mirrors half of the scenes, left to right; their captions are then wrong."""
        turned = torch.from_numpy(rng.random(len(self.labels)) < 0.5)
        pixels, labels = self.pixels.clone(), self.labels.clone()
        grid = round(labels.shape[1] ** 0.5)
        pixels[turned] = pixels[turned].flip(3)
        labels[turned] = labels[turned].unflatten(1, (grid, grid)).flip(2).flatten(1)
        return replace(self, pixels=pixels, labels=labels)

    def recolored(self, rng: np.random.Generator) -> LabelledScenes:
        """Changes the order of each scene's colour channels, and its brightness."""
        n = len(self.labels)
        order = torch.from_numpy(rng.permuted(np.tile(np.arange(3), (n, 1)), axis=1))
        light = torch.from_numpy(rng.uniform(-_LIGHT, _LIGHT, n)).float()[:, None, None, None]
        pixels = self.pixels[torch.arange(n)[:, None], order] + light
        return replace(self, pixels=pixels.clamp_(-1, 1))


def draw_batch(bank: Bank, rng: np.random.Generator, size: int) -> LabelledScenes:
    """Draws `size` different scenes of `bank`, or all if there are fewer."""
    chosen = np.sort(rng.choice(len(bank), min(size, len(bank)), replace=False))
    labels = torch.from_numpy(bank.kinds[chosen].astype(np.int64)).flatten(1)
    return LabelledScenes(chosen, to_pixels(bank.images[chosen]), labels)


def objects_first(
    labels: Int[Tensor, "batch patch"], n: int, rng: np.random.Generator
) -> Int[Tensor, "batch kept"]:
    """Draws the `n` patches that a step sees: of objects if there are enough, then of the ground.

    Objects cover a fifth of a scene; the ground costs as much and teaches little about kinds.
    """
    wanted = (labels != BACKGROUND).numpy()
    return torch.from_numpy((rng.random(wanted.shape) - wanted).argsort(1)[:, :n])


def patch_loss(
    logits: Float[Tensor, "batch patch label"],
    labels: Int[Tensor, "batch patch"],
    *,
    equal: bool = False,
) -> Float[Tensor, ""]:
    """Weighted mean cross-entropy of the patches' labels; ambiguous ones do not count.

    With `equal`, each kind of a scene counts the same, however many patches it covers: most patches
    are of large objects, whose kinds are learned long before those of small ones.
    """
    flat = logits.flatten(0, 1), labels.flatten()
    if not equal:
        weight = torch.ones(logits.shape[-1])
        weight[BACKGROUND] = BACKGROUND_WEIGHT
        return F.cross_entropy(*flat, weight, ignore_index=AMBIGUOUS)
    losses = F.cross_entropy(*flat, ignore_index=AMBIGUOUS, reduction="none").view(labels.shape)
    alike = (labels[:, :, None] == labels[:, None, :]).sum(-1)
    share = torch.where(labels == BACKGROUND, _GROUND_SHARE, 1.0) * (labels != AMBIGUOUS)
    return (losses * share / alike).sum() / (share / alike).sum()


class KindHead(nn.Module):
    """Predicts the kind at each patch from a tower's tokens; discarded after training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.kind = nn.Linear(width, 1 + len(KINDS) + len(SIGN_WORDS))

    def forward(self, tokens: Float[Tensor, "batch token width"]) -> Tensor:
        """Returns logits at the patches (the class token is left out)."""
        return self.kind(self.norm(tokens[:, 1:]))
