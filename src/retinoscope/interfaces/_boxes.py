"""Boxes as an attention layer reads them, and the patches that they cover.

A box is x0, y0, x1, y1 in shares of the image, 0 to 1.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

FREQUENCIES = 5
D_BOX = 4 * 2 * FREQUENCIES


def sinusoidal(boxes: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch d_box"]:
    """Sines and cosines of pi, 2 pi, ..., 16 pi times each edge.

    Attention hardly reads four raw numbers beside a hundred features (Vaswani et al. 2017, section
    3.5, for positions in a text).
    """
    turns = math.pi * 2.0 ** torch.arange(FREQUENCIES, device=boxes.device)
    angles = boxes.float()[..., None] * turns
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def patch_boxes(grid: int) -> Float[Tensor, "patch 4"]:
    """The boxes of `grid` x `grid` patches in reading order."""
    row, column = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    return torch.stack([column, row, column + 1, row + 1], -1).flatten(0, 1) / grid


def patch_shares(boxes: Float[Tensor, "*batch 4"], grid: int) -> Float[Tensor, "*batch patch"]:
    """The share of each box's area in each patch; all 0 for a box without an area."""
    edges = torch.arange(grid + 1, device=boxes.device) / grid
    low, high = boxes[..., :2, None], boxes[..., 2:, None]
    covered = (torch.minimum(high, edges[1:]) - torch.maximum(low, edges[:-1])).clamp(min=0)
    area = (covered[..., 1, :, None] * covered[..., 0, None, :]).flatten(-2)
    return area / area.sum(-1, keepdim=True).clamp(min=1e-12)
