"""Features of all patches from a sequence of codes.

Source: LaVIT (arXiv 2309.04669), section 3.2: the decoder that rebuilds semantics.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from ._attention import TwoReads


class CodeDecoder(nn.Module):
    """One learned query for each patch reads the codes, which know their rank but not their place.

    A sequence that a language model writes has no places either.
    """

    def __init__(
        self, patches: int, d_code: int, width: int, heads: int, ff: int, layers: int
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(d_code, width)
        self.ranks = nn.Embedding(patches, width)
        self.queries = nn.Embedding(patches, width)
        self.blocks = nn.ModuleList(TwoReads(width, heads, ff) for _ in range(layers))
        self.out = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width)
        )
        for embedding in (self.ranks, self.queries):
            nn.init.normal_(embedding.weight, std=0.5)

    def forward(
        self,
        codes: Float[Tensor, "batch place d_code"],
        there: Float[Tensor, "batch place"],
    ) -> Float[Tensor, "batch patch width"]:
        """The features of all patches.

        Args:
            codes: vectors of codes.
            there: 1 for each code of the sequence; others, of 0, are not read and have no rank.
        """
        rank = (there.detach().cumsum(1).long() - 1).clamp(min=0)
        read = self.enter(codes) + self.ranks(rank)
        x = self.queries.weight.expand(len(codes), -1, -1)
        everyone = x.new_ones(1, x.shape[1], x.shape[1])
        for block in self.blocks:
            x = block(x, read, everyone, there[:, None])
        return self.out(x)
