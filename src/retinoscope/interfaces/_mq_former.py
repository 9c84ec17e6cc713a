"""MQ-Former: two groups of queries with cross-attention of their own, and a text beside them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Sources:
    """What the two groups of queries read.

    Attributes:
        patches: for the first group.
        objects: for the second group, at the width of the queries.
        absent: True where there is no object.
    """

    patches: Float[Tensor, "batch patch width"]
    objects: Float[Tensor, "batch object width"]
    absent: Bool[Tensor, "batch object"]


class _Attending(nn.Module):
    """Attention, what it adds, and a norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        states: Float[Tensor, "batch query width"],
        read: Float[Tensor, "batch key width"],
        hidden: Bool[Tensor, "batch query key"] | None = None,
        absent: Bool[Tensor, "batch key"] | None = None,
    ) -> Float[Tensor, "batch query width"]:
        if hidden is not None:
            hidden = hidden.repeat_interleave(self.attention.num_heads, 0)
        added, _ = self.attention(
            states, read, read, key_padding_mask=absent, attn_mask=hidden, need_weights=False
        )
        return self.norm(states + added)

    def weights(
        self,
        states: Float[Tensor, "batch query width"],
        read: Float[Tensor, "batch key width"],
        absent: Bool[Tensor, "batch key"] | None = None,
    ) -> Float[Tensor, "batch query key"]:
        """Where the queries look, averaged over the heads."""
        return self.attention(states, read, read, key_padding_mask=absent)[1]


class _FeedForward(nn.Module):
    def __init__(self, width: int, ff: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, ff), nn.Linear(ff, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, states: Float[Tensor, "batch token width"]
    ) -> Float[Tensor, "batch token width"]:
        added = self.outer(nn.functional.gelu(self.inner(states)))
        return self.norm(states + added)


class MQFormerLayer(nn.Module):
    """Joint self-attention; each group reads its source; feed-forward. Norms come last, as in BERT.

    Args:
        width, heads, ff: sizes.
        reads: whether queries read their sources in this layer.
        text: whether words may stand behind the queries; they have a feed-forward part of their
            own.
    """

    def __init__(self, width: int, heads: int, ff: int, *, reads: bool, text: bool) -> None:
        super().__init__()
        self.own = _Attending(width, heads)
        self.patches = _Attending(width, heads) if reads else None
        self.objects = _Attending(width, heads) if reads else None
        self.ff = _FeedForward(width, ff)
        self.text_ff = _FeedForward(width, ff) if text else None
        for name, parameter in self.named_parameters():
            # The usual 0.02 hardly moves queries this narrow.
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self,
        states: Float[Tensor, "batch token width"],
        groups: tuple[int, int],
        sources: Sources | None,
        hidden: Bool[Tensor, "batch token token"] | None,
    ) -> Float[Tensor, "batch token width"]:
        """The next states.

        Args:
            states: of the queries, group by group, then of the words.
            groups: the number of queries of each group; 0 and 0 for a text alone.
            sources: what the queries read; None for a text alone.
            hidden: True where a token may not read another.
        """
        patches, objects, words = self._asked(states, groups, hidden)
        if sources is not None and self.patches is not None and self.objects is not None:
            patches = self.patches(patches, sources.patches)
            objects = self.objects(objects, sources.objects, absent=sources.absent)
        done = self.ff(torch.cat([patches, objects], 1))
        return done if self.text_ff is None else torch.cat([done, self.text_ff(words)], 1)

    def looks(
        self,
        states: Float[Tensor, "batch token width"],
        groups: tuple[int, int],
        sources: Sources,
        hidden: Bool[Tensor, "batch token token"] | None,
    ) -> tuple[Float[Tensor, "batch query patch"], Float[Tensor, "batch query object"]]:
        """Where each group looks in its source; arguments as in `forward`."""
        if self.patches is None or self.objects is None:
            raise ValueError("expected a layer that reads, got one without cross-attention")
        patches, objects, _ = self._asked(states, groups, hidden)
        return (
            self.patches.weights(patches, sources.patches),
            self.objects.weights(objects, sources.objects, sources.absent),
        )

    def _asked(
        self,
        states: Float[Tensor, "batch token width"],
        groups: tuple[int, int],
        hidden: Bool[Tensor, "batch token token"] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Both groups and the words after self-attention."""
        states = self.own(states, states, hidden)
        first, second, words = states.split((*groups, states.shape[1] - sum(groups)), 1)
        return first, second, words
