"""Boards cut out of larger images, in the size that the reader takes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

WINDOW = (64, 32)
"""Width and height of what is cut out, in pixels of the image: a sign of a scene and its margin."""


def crop_boards(
    pixels: Float[Tensor, "batch 3 height width"],
    centers: Float[Tensor, "batch 2"],
    size: tuple[int, int],
) -> Float[Tensor, "batch 3 rows columns"]:
    """The windows around these centres; beyond an image's border its last pixels are repeated.

    Args:
        pixels: images.
        centers: x and y of the middle of each window, in pixels.
        size: rows and columns of the result.
    """
    height, width = pixels.shape[-2:]
    axes = [
        (torch.arange(n, device=pixels.device) + 0.5) / n * side - side / 2
        for n, side in zip(size, reversed(WINDOW), strict=True)
    ]
    down, across = torch.meshgrid(*axes, indexing="ij")
    x = (across + centers[:, 0, None, None]) * (2 / width) - 1
    y = (down + centers[:, 1, None, None]) * (2 / height) - 1
    grid = torch.stack([x, y], -1).to(pixels.dtype)
    return F.grid_sample(pixels, grid, "bilinear", "border", align_corners=False)
