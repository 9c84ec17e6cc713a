"""X-Former: a Q-Former on one tower, and two blocks that add the local features of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Blip2VisionModel

from ..errors import InputError
from ._interface import Seen
from ._qformer import QFormer, Reading, widen
from ._tower import build_tower, tower_tokens

Fusion = Literal["dual", "concat"]
Second = Literal["mae", "contrastive"]
NormPlace = Literal["pre", "post"]

_SECOND: dict[str, str] = {"mae": "mae", "contrastive": "contrastive-earlier"}
"""Whose features come second -> their name in `Seen`."""


class CrossBlock(nn.Module):
    """Cross-attention and a feed-forward layer.

    Args:
        residual: whether what asks is added to what it reads. Without, it only directs the
            attention, and nothing of it is passed on.
        norm: "pre" normalises what goes into each layer, and the result; "post" each sum. A
            residual block with "pre" starts by passing on what asks.
    """

    def __init__(self, width: int, heads: int, ff: int, residual: bool, norm: NormPlace) -> None:
        super().__init__()
        self.residual, self.pre = residual, norm == "pre"
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        last = nn.Linear(ff, width)
        self.ff = nn.Sequential(nn.Linear(width, ff), nn.GELU(), last)
        self.norm, self.ff_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        if self.pre:
            self.read_norm, self.out_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        widen(self)
        if self.pre and residual:
            for linear in (self.attention.out_proj, last):
                nn.init.zeros_(linear.weight)

    def forward(
        self, asking: Float[Tensor, "batch asking width"], read: Float[Tensor, "batch read width"]
    ) -> Float[Tensor, "batch asking width"]:
        kept = asking if self.residual else 0.0
        if not self.pre:
            hidden = self.norm(kept + self._attend(asking, read))
            return self.ff_norm(hidden + self.ff(hidden))
        hidden = kept + self._attend(self.norm(asking), self.read_norm(read))
        return self.out_norm(hidden + self.ff(self.ff_norm(hidden)))

    def looked(
        self, asking: Float[Tensor, "batch asking width"], read: Float[Tensor, "batch read width"]
    ) -> Float[Tensor, "batch asking read"]:
        """The attention's weights, averaged over the heads."""
        if self.pre:
            asking, read = self.norm(asking), self.read_norm(read)
        return self.attention(asking, read, read)[1]

    def _attend(self, asking: Tensor, read: Tensor) -> Tensor:
        return self.attention(asking, read, read, need_weights=False)[0]


class XFormer(QFormer):
    """A Q-Former whose queries also read the local features of a masked autoencoder.

    Queries read the contrastive tower as in BLIP-2 (Zq). The local features of the second tower
    read the queries (`local_block`), and the queries read the result (`query_block`). Nothing is
    masked here: only the first stage's reconstruction hides patches from the second tower.

    Source: Swetha et al. 2024, "X-Former" (arXiv 2407.13851). Not known from there, and chosen
    here: one block each, of cross-attention and a feed-forward layer; normalisation before each
    layer rather than behind it; layer norms of their own for the two towers.

    Args:
        d_model: width of the language model.
        tower: sizes of both towers.
        queries, layers, heads, ff, read_every: of the Q-Former.
        block_ff: inner width of the blocks' feed-forward layers.
        fusion: "dual" as described; "concat" lets the Q-Former read the tokens of both towers, one
            after the other, without blocks.
        second: "mae", or "contrastive" for an earlier layer of the first tower (two thirds of the
            way up), as in the paper's ablation.
        residual: whether the local features are added to what they read of the queries. Without,
            they cannot pass `local_block` untouched.
        norm: place of the blocks' layer norms.
        n_words, longest: of texts; see `QFormer`.

    Raises:
        InputError: an unknown fusion, second tower or place of norms.
    """

    def __init__(
        self,
        d_model: int,
        tower: Mapping[str, int],
        queries: int = 16,
        layers: int = 2,
        heads: int = 4,
        ff: int = 384,
        read_every: int = 1,
        block_ff: int = 384,
        fusion: Fusion = "dual",
        second: Second = "mae",
        residual: bool = True,
        norm: NormPlace = "pre",
        n_words: int = 0,
        longest: int = 64,
    ) -> None:
        _check("fusion", fusion, ("dual", "concat"))
        _check("second", second, tuple(_SECOND))
        _check("norm", norm, ("pre", "post"))
        super().__init__(d_model, tower, queries, layers, heads, ff, read_every, n_words, longest)
        width = self.shape.width
        self.fusion: Fusion = fusion
        self.second = _SECOND[second]
        self.global_norm = nn.LayerNorm(width)
        self.needs = ("contrastive", self.second)
        self.local_norm = nn.LayerNorm(width)
        if second == "mae":
            self.mae = build_tower(self.shape, seed=1)
            self.frozen = ("tower", "mae")
            self.shared = {"tower": "contrastive", "mae": "mae"}
        if fusion == "dual":
            self.local_block = CrossBlock(width, heads, block_ff, residual, norm)
            self.query_block = CrossBlock(width, heads, block_ff, True, norm)

    def see(self, pixels: Float[Tensor, "batch 3 height width"]) -> dict[str, Tensor]:
        seen = super().see(pixels)
        mae = self.second == "mae"
        seen[self.second] = (
            tower_tokens(self.mae, pixels) if mae else earlier_tokens(self.tower, pixels)
        )
        return seen

    def source(self, seen: Seen) -> Float[Tensor, "batch token width"]:
        read = self.global_norm(seen["contrastive"])
        return torch.cat([read, self._local(seen)], 1) if self.fusion == "concat" else read

    def first_queries(self, seen: Seen) -> Float[Tensor, "batch query width"]:
        """Zq: the queries after the first tower alone."""
        return super().queries(seen)

    def refined(
        self, queries: Float[Tensor, "batch query width"], seen: Seen
    ) -> Float[Tensor, "batch token width"]:
        """M': the local features after they have read the queries `queries` (Zq)."""
        return self.local_block(self._local(seen), queries)

    def queries(self, seen: Seen) -> Float[Tensor, "batch query width"]:
        return self._detailed(self.first_queries(seen), seen)

    def both(
        self,
        seen: Seen,
        ids: Int[Tensor, "batch word"],
        present: Bool[Tensor, "batch word"],
        reading: Reading,
    ) -> tuple[Float[Tensor, "batch query width"], Float[Tensor, "batch word width"]]:
        """As in `QFormer`: the words stand beside Zq, and the queries go on to the second tower."""
        queries, words = super().both(seen, ids, present, reading)
        return self._detailed(queries, seen), words

    def _local(self, seen: Seen) -> Float[Tensor, "batch token width"]:
        return self.local_norm(seen[self.second])

    def _detailed(
        self, queries: Float[Tensor, "batch query width"], seen: Seen
    ) -> Float[Tensor, "batch query width"]:
        if self.fusion != "dual":
            return queries
        return self.query_block(queries, self.refined(queries, seen))

    @torch.no_grad()
    def _origin(self, seen: Seen) -> Float[Tensor, "batch query patch"]:
        """Attention of the last reading to each patch, averaged over the heads.

        With "dual" it is that to M', into which `local_block` has mixed what the queries knew. With
        "concat" it is the sum over both towers' tokens of the patch.
        """
        if self.fusion == "dual":
            queries = self.first_queries(seen)
            return self.query_block.looked(queries, self.refined(queries, seen))[..., 1:]
        return self._looked(seen).unflatten(-1, (-1, 1 + self.shape.patches))[..., 1:].sum(-2)


def earlier_tokens(
    tower: Blip2VisionModel, pixels: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch token width"]:
    """Class token and patches two thirds of the way up a tower, before any norm."""
    inner: Any = tower
    tokens = inner.embeddings(pixels)
    layers = inner.encoder.layers
    for layer in layers[: round(len(layers) * 2 / 3)]:
        tokens = layer(tokens)
    return tokens


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"expected {name} of {', '.join(known)}, got {value!r}: change it")
