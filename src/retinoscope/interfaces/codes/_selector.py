"""Which patches of an image are kept as tokens.

Source: LaVIT (arXiv 2309.04669), section 3.1: the token selector. Layers as in the release.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Selector(nn.Module):
    """The log-probability that each patch is kept, from the patch and the mean of all patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.score = nn.Sequential(
            nn.Linear(width, width // 2),
            nn.GELU(),
            nn.Linear(width // 2, width // 4),
            nn.GELU(),
            nn.Linear(width // 4, 2),
        )

    def forward(
        self, patches: Float[Tensor, "batch patch width"]
    ) -> Float[Tensor, "batch patch 2"]:
        """Log-probabilities of "keep" and "drop"."""
        local, others = self.inner(patches).chunk(2, -1)
        everywhere = others.mean(1, keepdim=True).expand_as(others)
        return self.score(torch.cat([local, everywhere], -1)).log_softmax(-1)

    def sampled(
        self, patches: Float[Tensor, "batch patch width"], generator: torch.Generator
    ) -> Float[Tensor, "batch patch"]:
        """1 where a patch is kept in a random draw, else 0; gradients are those of the soft draw.

        At least one patch of each image is kept, for which there is no gradient if none was drawn.
        """
        log_probs = self(patches)
        uniform = torch.rand(log_probs.shape, generator=generator).clamp(1e-9, 1 - 1e-7)
        soft = F.softmax(log_probs - (-uniform.log()).log(), -1)[..., 0]
        hard = (soft > 0.5).float()
        best = F.one_hot(soft.argmax(1), soft.shape[1]).to(hard)
        hard = torch.where(hard.any(1, keepdim=True), hard, best)
        return hard + (soft - soft.detach())
