"""The architecture of the comparison: a small version of transformers' CLIP vision tower."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from ..errors import InputError
from .comparison import Aggregation, TowerSizes


def build_tower(sizes: TowerSizes, seed: int = 0) -> CLIPVisionModel:
    """The untrained tower; the same weights for the same seed, whatever the objective."""
    config = CLIPVisionConfig(
        hidden_size=sizes.width,
        intermediate_size=sizes.ff,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        image_size=sizes.image,
        patch_size=sizes.patch,
        hidden_act="gelu",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLIPVisionModel(config).float()


def image_processor(sizes: TowerSizes) -> CLIPImageProcessorPil:
    """Makes the tower's pixels of an image: resized, cropped, scaled to -1..1."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": sizes.image},
        crop_size={"height": sizes.image, "width": sizes.image},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def encode(
    tower: CLIPVisionModel,
    pixels: Float[Tensor, "batch 3 height width"],
    kept: Int[Tensor, "batch kept"] | None = None,
) -> Float[Tensor, "batch token width"]:
    """Class token and patches after the final norm; in training only the patches in `kept`.

    Pixels of a size other than the tower's get interpolated position embeddings.
    """
    inner: Any = getattr(tower, "vision_model", tower)
    resized = pixels.shape[-1] != tower.config.image_size
    tokens = inner.embeddings(pixels, interpolate_pos_encoding=resized)
    if kept is not None:
        indices = (1 + kept)[..., None].expand(-1, -1, tokens.shape[-1])
        tokens = torch.cat([tokens[:, :1], tokens.gather(1, indices)], 1)
    done = inner.encoder(inputs_embeds=inner.pre_layrnorm(tokens))
    return inner.post_layernorm(done.last_hidden_state)


def drawn_patches(
    batch: int, patches: int, share: float, generator: torch.Generator
) -> Int[Tensor, "batch kept"]:
    """Draws the patches that a step keeps: a `share` of them, at least one, for each image.

    Raises:
        InputError: a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InputError(f"expected a share of patches above 0 and at most 1, got {share}")
    n = max(1, round(patches * share))
    noise = torch.rand(batch, patches, generator=generator, device=generator.device)
    return noise.argsort(1)[:, :n]


def aggregate(
    tokens: Float[Tensor, "batch token width"], way: Aggregation
) -> Float[Tensor, "batch width"]:
    """One vector of length 1 per image, from the class token or from the patches without it.

    Channel-wise maximum: Ranasinghe et al. 2022, section 3; the gradient of each channel goes to
    one patch (the first of equal ones). No projection follows, so that patches and images share a
    space.
    """
    if way == "class":
        vectors = tokens[:, 0]
    elif way == "average":
        vectors = tokens[:, 1:].mean(1)
    else:
        vectors = tokens[:, 1:].max(1).values
    return F.normalize(vectors, dim=-1)
