"""The decoder of masked autoencoding (He et al. 2022)."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class MaeDecoderSizes(Protocol):
    """The sizes that a decoder needs; the dataclasses of tower sizes have them."""

    @property
    def grid(self) -> int: ...
    @property
    def patch(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def text_layers(self) -> int: ...
    @property
    def text_ff(self) -> int: ...


class MaeDecoder(nn.Module):
    """Paints all patches of an image from the tokens of those that the encoder saw."""

    def __init__(self, sizes: MaeDecoderSizes) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            sizes.width, sizes.heads, sizes.text_ff, 0.0, F.gelu, batch_first=True, norm_first=True
        )
        self.hidden = nn.Embedding(1, sizes.width)
        self.places = nn.Embedding(sizes.grid**2, sizes.width)
        self.blocks = nn.TransformerEncoder(layer, sizes.text_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(sizes.width)
        self.out = nn.Linear(sizes.width, 3 * sizes.patch**2)
        for embedding in (self.hidden, self.places):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(
        self, tokens: Float[Tensor, "batch seen width"], kept: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch patch pixel"]:
        """Returns the pixels of every patch in the order of `patch_pixels`.

        Args:
            tokens: the class token, then those of the patches in `kept`.
            kept: the patches that the encoder saw; a learned vector stands in for the others.
        """
        many, _, width = tokens.shape
        filled = self.hidden.weight.to(tokens.dtype).expand(many, len(self.places.weight), -1)
        where = kept[..., None].expand(-1, -1, width)
        filled = filled.scatter(1, where, tokens[:, 1:]) + self.places.weight
        both = torch.cat([tokens[:, :1], filled], 1)
        return self.out(self.norm(self.blocks(both)))[:, 1:].float()


def patch_pixels(
    pixel_values: Float[Tensor, "batch 3 height width"], patch: int
) -> Float[Tensor, "batch patch pixel"]:
    """Cuts images into patches in reading order, each as its red, green and blue planes."""
    return F.unfold(pixel_values, patch, stride=patch).transpose(1, 2)


def hidden_error(
    painted: Float[Tensor, "batch patch pixel"],
    wanted: Float[Tensor, "batch patch pixel"],
    kept: Int[Tensor, "batch kept"],
) -> Float[Tensor, ""]:
    """Returns the mean squared error of pixels over the patches that the encoder did not see.

    Pixels are not normalised per patch: plain ground would then be pure noise.
    """
    missing = torch.ones(painted.shape[:2], device=painted.device).scatter(1, kept, 0.0)
    return ((painted - wanted).square().mean(-1) * missing).sum() / missing.sum()
