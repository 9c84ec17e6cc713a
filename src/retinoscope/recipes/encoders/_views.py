"""Training views: random crops and lighting changes of a whole batch, on its device."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F


def pixels(images: UInt8[Tensor, "batch height width 3"]) -> Float[Tensor, "batch 3 height width"]:
    """Normalises images of the tower's size as the image processor does."""
    return images.permute(0, 3, 1, 2).float().div(127.5).sub(1.0)


def view(
    images: UInt8[Tensor, "batch height width 3"],
    generator: torch.Generator,
    *,
    side: int,
    smallest: float,
    light: float = 0.1,
    largest: float = 1.0,
) -> Float[Tensor, "batch 3 side side"]:
    """Returns a random square of each image, resampled to `side` pixels, with changed lighting.

    Args:
        generator: source of the draws, on the images' device.
        side: side of the result in pixels.
        smallest, largest: bounds of the square's side, as a share of the image's.
        light: largest change of each channel's brightness, as a share of the whole range.
    """
    # Coordinates need more precision than bfloat16 has.
    with torch.autocast(images.device.type, enabled=False):
        batch, device = len(images), images.device
        draws = torch.rand(batch, 6, generator=generator, device=device)
        share = smallest + (largest - smallest) * draws[:, 0]
        # The square's centre in -1..1 over the image, such that the square lies inside.
        shift = (2 * draws[:, 1:3] - 1) * (1 - share)[:, None]
        matrix = torch.zeros(batch, 2, 3, device=device)
        matrix[:, 0, 0] = matrix[:, 1, 1] = share
        matrix[:, :, 2] = shift
        grid = F.affine_grid(matrix, [batch, 3, side, side], align_corners=False)
        crops = F.grid_sample(
            pixels(images), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        change = (2 * draws[:, 3:] - 1) * 2 * light
        return (crops + change[:, :, None, None]).clamp(-1, 1)
