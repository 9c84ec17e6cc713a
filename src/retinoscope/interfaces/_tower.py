"""The frozen towers: small vision transformers of the class that BLIP-2 uses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from transformers import Blip2VisionConfig, Blip2VisionModel


@dataclass(frozen=True)
class TowerShape:
    """Architecture of a tower.

    Attributes:
        image, patch: sides of the image and of a patch in pixels.
        width, layers, heads, ff: of the transformer.
    """

    image: int = 144
    patch: int = 16
    width: int = 128
    layers: int = 6
    heads: int = 4
    ff: int = 384

    @property
    def grid(self) -> int:
        """Patches along each side."""
        return self.image // self.patch

    @property
    def patches(self) -> int:
        return self.grid**2

    def config(self) -> Blip2VisionConfig:
        """As transformers has it."""
        return Blip2VisionConfig(
            hidden_size=self.width,
            intermediate_size=self.ff,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            image_size=self.image,
            patch_size=self.patch,
            hidden_act="gelu",
        )


def build_tower(shape: TowerShape, seed: int = 0) -> Blip2VisionModel:
    """An untrained tower in float32; the same weights for the same seed.

    The library's standard deviations do not fit: 1e-10 for the embeddings, with which a tower sees
    nothing, and 0.02 for the layers, which is too small for this width. Embeddings get the 0.02 of
    a ViT; projections into the residual stream are scaled with the depth as in GPT-2, the other
    layers to 0.08.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = Blip2VisionModel(shape.config()).float()
        seeing = tower.embeddings
        for embedding in (
            seeing.class_embedding,
            seeing.position_embedding,
            seeing.patch_embedding.weight,
        ):
            nn.init.normal_(embedding, std=0.02)
        for name, module in tower.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            into_residual = name.endswith(("projection", "fc2"))
            nn.init.normal_(
                module.weight, std=0.08 / math.sqrt(2 * shape.layers) if into_residual else 0.08
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return tower


def tower_tokens(
    tower: Blip2VisionModel,
    pixels: Float[Tensor, "batch 3 height width"],
    kept: Int[Tensor, "batch kept"] | None = None,
) -> Float[Tensor, "batch token width"]:
    """Class token and patches after the final norm.

    Args:
        kept: indices of the patches that the tower sees, for each image; the others are dropped
            after the positions are added (He et al. 2022). All patches if None.
    """
    inner: Any = tower
    tokens = inner.embeddings(pixels)
    if kept is not None:
        indices = (1 + kept)[..., None].expand(-1, -1, tokens.shape[-1])
        tokens = torch.cat([tokens[:, :1], tokens.gather(1, indices)], 1)
    return inner.post_layernorm(inner.encoder(inputs_embeds=tokens).last_hidden_state)


def to_pixels(images: UInt8[np.ndarray, "batch height width 3"]) -> Float[Tensor, "batch 3 h w"]:
    """Channels first, from -1 to 1, as the processor makes them."""
    return torch.tensor(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def from_pixels(
    pixels: Float[Tensor, "batch 3 h w"],
) -> UInt8[np.ndarray, "batch height width 3"]:
    """The images that `to_pixels` takes; values beyond -1 to 1 are cut off."""
    levels = ((pixels + 1) * 127.5).round().clamp(0, 255).byte()
    return levels.permute(0, 2, 3, 1).cpu().numpy()
