"""What the tests of refiners share: a small tower, and a dense refiner that reads given labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from retinoscope.data.scenes import COLORS, KINDS
from retinoscope.interfaces import DenseRefiner, TowerShape

SHAPE = TowerShape(image=36, patch=4, width=36, layers=1, heads=2, ff=16)


def reader(**options: Any) -> DenseRefiner:
    """A refiner for tokens that spell out kind and colour; see `written`."""
    refiner = DenseRefiner(SHAPE, **options).eval()
    with torch.no_grad():
        refiner.norm = torch.nn.Identity()
        for part in (refiner.kind, refiner.color):
            part.weight.zero_()
            part.bias.zero_()
        refiner.kind.weight[:, : 1 + len(KINDS)] = 20 * torch.eye(1 + len(KINDS))
        refiner.color.weight[:, 1 + len(KINDS) : 34] = 20 * torch.eye(1 + len(COLORS))
    return refiner


def written(objects: dict[tuple[int, int], list[int]]) -> Tensor:
    """Tokens (1, 82, 36) with (kind, colour) at these patches of 9 x 9."""
    tokens = torch.zeros(1, 82, 36)
    tokens[:, :, 0] = tokens[:, :, 1 + len(KINDS)] = 0.5
    for (kind, color), patches in objects.items():
        for patch in patches:
            tokens[0, 1 + patch, 1 + kind] = 1.0
            tokens[0, 1 + patch, 2 + len(KINDS) + color] = 1.0
            tokens[0, 1 + patch, 35] = patch
    return tokens
