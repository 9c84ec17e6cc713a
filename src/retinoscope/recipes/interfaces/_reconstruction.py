"""Reconstruction of the patches that are hidden from one tower, through another tower's queries.

Source: Swetha et al. 2024, "X-Former" (arXiv 2407.13851). The contrastive tower sees the whole
image and the masked autoencoder a part of it, so that what the hidden patches show can come through
the queries. Whether it does is measured: `reconstruction_gap`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...encoders.small_tower import drawn_patches
from ...errors import InputError
from ...interfaces import MaeDecoder, Seen, Towers, XFormer, patch_pixels, to_pixels, tower_tokens
from ..pocket._bank import Bank
from ._seen import SeenBank

Weighting = Literal["all", "contrastive", "mae"]
"""Which hidden patches count: all alike; or each by what a ridge regression from the contrastive
tower's patch does not tell; or by what the masked autoencoder alone does not tell."""

_RIDGE = 1e-2
_BATCH = 50


@dataclass(frozen=True, eq=False)
class MaskedScenes:
    """Scenes of which the masked autoencoder saw a part.

    Attributes:
        seen: what the interface reads; "mae" has the class token and the patches in `kept`.
        kept: indices of the patches that were seen.
        pixels: what each patch shows.
    """

    seen: Seen
    kept: Int[Tensor, "batch kept"]
    pixels: Float[Tensor, "batch patch pixel"]

    @property
    def hidden(self) -> Float[Tensor, "batch patch"]:
        """1 for each patch that was not seen, and 0 for the others."""
        return torch.ones_like(self.pixels[..., 0]).scatter(1, self.kept, 0.0)


@torch.no_grad()
def masked_scenes(
    interface: XFormer,
    seen: Seen,
    pixels: Float[Tensor, "batch 3 height width"],
    hidden: float,
    generator: torch.Generator,
) -> MaskedScenes:
    """Hides a share of the patches of each image, drawn at random, from the second tower.

    Raises:
        InputError: a share that hides no patch.
    """
    shape = interface.shape
    kept = drawn_patches(len(pixels), shape.patches, 1 - hidden, generator)
    if kept.shape[1] == shape.patches:
        raise InputError(
            f"expected at least one of {shape.patches} patches hidden, got the share {hidden}: "
            "raise it, there is nothing to reconstruct"
        )
    tokens = tower_tokens(interface.mae, pixels, kept)
    return MaskedScenes({**seen, "mae": tokens}, kept, patch_pixels(pixels, shape.patch))


class Reconstruction(nn.Module):
    """Paints hidden patches with the frozen decoder of the masked autoencoder.

    Args:
        width: of the local features.
        hidden: share of the patches that are hidden.
        weighting: which hidden patches count.

    Raises:
        InputError: a share outside (0, 1).
    """

    def __init__(self, width: int, hidden: float, weighting: Weighting) -> None:
        super().__init__()
        if not 0 < hidden < 1:
            raise InputError(
                f"expected a share of hidden patches above 0 and below 1, got {hidden}: "
                "without hidden patches there is nothing to reconstruct"
            )
        self.hidden, self.weighting = hidden, weighting
        self.toward = nn.Linear(width, width)
        self.mae_decoder: MaeDecoder | None = None

    def take(self, interface: XFormer, towers: Towers) -> None:
        """Takes the frozen decoder; local features that pass the blocks start nearly as it knows
        them, with the gain and shift of the norm that they have lost."""
        self.mae_decoder = towers.mae_decoder.eval().requires_grad_(False)
        norm: Any = interface.mae.post_layernorm
        with torch.no_grad():
            self.toward.weight.copy_(torch.diag(norm.weight))
            self.toward.bias.copy_(norm.bias)

    def painted(
        self, interface: XFormer, scenes: MaskedScenes, queries: Float[Tensor, "batch query width"]
    ) -> Float[Tensor, "batch patch pixel"]:
        """All patches, from the local features after they have read `queries` (Zq)."""
        return self._paint(self.toward(interface.refined(queries, scenes.seen)), scenes.kept)

    def alone(self, scenes: MaskedScenes) -> Float[Tensor, "batch patch pixel"]:
        """All patches, from what the masked autoencoder saw, without any queries."""
        return self._paint(scenes.seen["mae"], scenes.kept)

    def loss(self, interface: XFormer, scenes: MaskedScenes) -> Float[Tensor, ""]:
        """The weighted error on the hidden patches, divided by the variance of all pixels."""
        queries = interface.first_queries(scenes.seen)
        painted = self.painted(interface, scenes, queries)
        return (scene_errors(painted, scenes, self.weights(scenes)) / scenes.pixels.var()).mean()

    @torch.no_grad()
    def weights(self, scenes: MaskedScenes) -> Float[Tensor, "batch patch"]:
        """How much each patch counts; 1 on average over the hidden patches."""
        hidden = scenes.hidden
        if self.weighting == "all":
            return hidden
        if self.weighting == "mae":
            guess = self.alone(scenes)
        else:
            guess = ridge_guess(scenes.seen["contrastive"][:, 1:], scenes.pixels)
        weights = (guess - scenes.pixels).square().mean(-1) * hidden
        return weights * (hidden.sum() / weights.sum())

    def _paint(self, tokens: Tensor, kept: Tensor) -> Float[Tensor, "batch patch pixel"]:
        assert self.mae_decoder is not None
        return self.mae_decoder(tokens, kept)


def scene_errors(
    painted: Float[Tensor, "batch patch pixel"],
    scenes: MaskedScenes,
    weights: Float[Tensor, "batch patch"] | None = None,
) -> Float[Tensor, " batch"]:
    """Mean squared error of the pixels of each scene's hidden patches.

    Pixels are not normalised in each patch: plain ground would then be pure noise.
    """
    hidden = scenes.hidden
    errors = (painted - scenes.pixels).square().mean(-1)
    return (errors * (hidden if weights is None else weights)).sum(1) / hidden.sum(1)


def ridge_guess(
    features: Float[Tensor, "batch patch width"], pixels: Float[Tensor, "batch patch pixel"]
) -> Float[Tensor, "batch patch pixel"]:
    """What a ridge regression, fitted to these very patches, tells of their pixels."""
    x, y = features.flatten(0, 1), pixels.flatten(0, 1)
    middle, mean = x.mean(0), y.mean(0)
    x = (x - middle) / x.std(0).clamp(min=1e-6)
    gram = x.T @ x / len(x) + _RIDGE * torch.eye(x.shape[1])
    return (x @ torch.linalg.solve(gram, x.T @ (y - mean) / len(x)) + mean).view_as(pixels)


@torch.no_grad()
def reconstruction_gap(
    interface: XFormer, reconstruction: Reconstruction, seen: SeenBank, bank: Bank, seed: int = 0
) -> pl.DataFrame:
    """Whether reconstruction uses what the queries carry: own queries, other ones, and none.

    Args:
        interface: an X-Former after its first stage.
        reconstruction: as trained with it.
        seen: what the frozen parts saw in the scenes of `bank`.
        bank: two held-out scenes or more.
        seed: of the patches that are hidden.

    Returns:
        One row per scene with the mean squared error on its hidden patches as a share of the
        variance of all pixels: "own" with its own queries, "other" with those of the next scene
        (the last takes the first's), both with the same patches hidden, and "alone" from the masked
        autoencoder with its decoder. The detail that queries carry makes "own" lower than both.
    """
    interface.eval()
    n = len(bank)
    generator = torch.Generator().manual_seed(seed)
    parts = [np.arange(start, min(n, start + _BATCH)) for start in range(0, n, _BATCH)]
    queries = torch.cat([interface.first_queries(seen.rows(rows)) for rows in parts])
    names = ("own", "other", "alone")
    errors: dict[str, list[Tensor]] = {name: [] for name in names}
    squares, total = 0.0, 0.0
    for rows in parts:
        pixels = to_pixels(bank.images[rows])
        scenes = masked_scenes(interface, seen.rows(rows), pixels, reconstruction.hidden, generator)
        guesses = (
            reconstruction.painted(interface, scenes, queries[rows]),
            reconstruction.painted(interface, scenes, queries[(rows + 1) % n]),
            reconstruction.alone(scenes),
        )
        for name, guess in zip(names, guesses, strict=True):
            errors[name].append(scene_errors(guess, scenes))
        total += float(pixels.sum())
        squares += float(pixels.square().sum())
    count = bank.images[0].size * n
    variance = squares / count - (total / count) ** 2
    columns = {name: (torch.cat(parts) / variance).numpy() for name, parts in errors.items()}
    return pl.DataFrame({"scene": np.arange(n), **columns})
