"""Attention in which each key counts by a share, through which gradients flow.

Source: Jin et al. 2024, "Unified Language-Vision Pretraining in LLM with Dynamic Discrete Visual
Tokenization" (LaVIT, arXiv 2309.04669), section 3.1: the token merger.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

_EPSILON = 1e-6


class SharedAttention(nn.Module):
    """Multi-head attention in which a key counts as much as its share, from 0 to 1.

    With shares of 0 and 1 this is masked attention; the gradient with respect to a share of 0 says
    what the key would change. A query without any key attends to all equally, but hardly.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self,
        queries: Float[Tensor, "batch query width"],
        read: Float[Tensor, "batch key width"],
        share: Float[Tensor, "*#batch #query key"],
    ) -> Float[Tensor, "batch query width"]:
        """What each query reads.

        Args:
            share: of each key, for each query.
        """
        parts = (self.query(queries), self.key(read), self.value(read))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        scores = query @ key.mT * query.shape[-1] ** -0.5
        odds = (scores - scores.detach().amax(-1, keepdim=True)).exp() * share[:, None]
        total = odds.sum(-1, keepdim=True) + _EPSILON
        weights = (odds + _EPSILON / read.shape[1]) / total
        return self.out((weights @ value).transpose(1, 2).flatten(2))


class TwoReads(nn.Module):
    """A block that reads its own states, then others; norms come first."""

    def __init__(self, width: int, heads: int, ff: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.among = SharedAttention(width, heads)
        self.others = SharedAttention(width, heads)
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, ff), nn.GELU(), nn.Linear(ff, width)
        )

    def forward(
        self,
        x: Float[Tensor, "batch state width"],
        others: Float[Tensor, "batch other width"],
        among: Float[Tensor, "*#batch state state"],
        there: Float[Tensor, "*#batch #state other"],
    ) -> Float[Tensor, "batch state width"]:
        """The states after the block; `among` and `there` are the shares of what is read."""
        normed = self.norms[0](x)
        x = x + self.among(normed, normed, among)
        x = x + self.others(self.norms[1](x), others, there)
        return x + self.inner(x)
