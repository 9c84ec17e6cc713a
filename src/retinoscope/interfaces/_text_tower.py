"""The text tower of contrastive training."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class TextSizes(Protocol):
    """The sizes that a text tower needs; the dataclasses of tower sizes have them."""

    @property
    def width(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def text_layers(self) -> int: ...
    @property
    def text_ff(self) -> int: ...
    @property
    def text_tokens(self) -> int: ...


class TextTower(nn.Module):
    """A text as one vector: a small transformer over its words, averaged."""

    def __init__(self, sizes: TextSizes, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, sizes.width)
        self.places = nn.Parameter(torch.randn(sizes.text_tokens, sizes.width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            sizes.width, sizes.heads, sizes.text_ff, 0.0, F.gelu, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, sizes.text_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(sizes.width)
        nn.init.normal_(self.words.weight, std=0.1)

    def forward(
        self,
        ids: Int[Tensor, "batch token"],
        dropped: Bool[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch width"]:
        """One vector of length 1 per text; words in `dropped`, and padding, are ignored."""
        unread = ids == 0
        if dropped is not None:
            # The start token is kept, so that no text is empty.
            unread = unread | (dropped & (torch.arange(ids.shape[1], device=ids.device) > 0))
        hidden = self.states(ids, unread)
        weight = (~unread)[..., None].to(hidden.dtype)
        return F.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1)

    def states(
        self, ids: Int[Tensor, "batch token"], unread: Bool[Tensor, "batch token"]
    ) -> Float[Tensor, "batch token width"]:
        """One vector per word; no word reads those in `unread`."""
        hidden = self.words(ids) + self.places[: ids.shape[1]]
        return self.norm(self.blocks(hidden, src_key_padding_mask=unread))
