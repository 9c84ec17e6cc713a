"""What dropped patches say is merged into the kept ones.

Source: LaVIT (arXiv 2309.04669), section 3.1: the token merger.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._attention import TwoReads


class Merger(nn.Module):
    """Kept patches read the kept ones before them, and all dropped ones.

    Every patch is computed, but a kept one depends on dropped ones only through what they are: the
    outputs of dropped patches are of no use.
    """

    def __init__(self, width: int, heads: int, ff: int, layers: int) -> None:
        super().__init__()
        self.first, self.last = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(TwoReads(width, heads, ff) for _ in range(layers))

    def forward(
        self,
        patches: Float[Tensor, "batch patch width"],
        keep: Float[Tensor, "batch patch"],
    ) -> Float[Tensor, "batch patch width"]:
        """The merged patches; `keep` is 1 for kept ones and 0 for dropped ones."""
        n = patches.shape[1]
        own = torch.eye(n, device=patches.device, dtype=patches.dtype)
        among = (keep[:, None] * (1 - own) + own).tril()
        dropped = (1 - keep)[:, None]
        x, still = patches, self.first(patches)
        for block in self.blocks:
            x = block(x, still, among, dropped)
        return self.last(x)
