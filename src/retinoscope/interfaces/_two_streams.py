"""Image and text in two streams that read each other, layer by layer, as in SCL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..pocket.vocabulary import SPECIAL
from ._text_tower import TextTower

_START = SPECIAL.index("<s>")


@dataclass(frozen=True, eq=False)
class Fused:
    """Both streams after the last layer and its norm; token 0 stands for the whole stream.

    Attributes:
        image: class token and patches, or the first of them.
        text: start token and further tokens, or the first of them.
    """

    image: Float[Tensor, "batch image_token width"]
    text: Float[Tensor, "batch word width"]


class StreamLayer(nn.Module):
    """Self-attention, attention to the other stream, and a feed-forward part, each after a norm."""

    def __init__(self, width: int, heads: int, ff: int) -> None:
        super().__init__()
        self.own_norm = nn.LayerNorm(width)
        self.own = nn.MultiheadAttention(width, heads, batch_first=True)
        self.asking_norm = nn.LayerNorm(width)
        self.other_norm = nn.LayerNorm(width)
        self.other = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ff_norm = nn.LayerNorm(width)
        self.ff = nn.Sequential(nn.Linear(width, ff), nn.GELU(), nn.Linear(ff, width))

    def forward(
        self,
        own: Float[Tensor, "batch token width"],
        other: Float[Tensor, "batch other width"],
        own_absent: Bool[Tensor, "batch token"] | None = None,
        other_absent: Bool[Tensor, "batch other"] | None = None,
        first: int | None = None,
    ) -> Float[Tensor, "batch first width"]:
        """The next states of the first `first` tokens; of all if None.

        Args:
            own: this stream's states.
            other: those of the other stream, before its layer of the same number.
            own_absent, other_absent: True for padding.
        """
        if first == 0:
            return own[:, :0]
        state = self._among_own(own, own_absent, first)
        asking, read = self.asking_norm(state), self.other_norm(other)
        found, _ = self.other(asking, read, read, key_padding_mask=other_absent, need_weights=False)
        state = state + found
        return state + self.ff(self.ff_norm(state))

    def weights(
        self,
        own: Float[Tensor, "batch token width"],
        other: Float[Tensor, "batch other width"],
        own_absent: Bool[Tensor, "batch token"] | None = None,
        first: int | None = None,
    ) -> Float[Tensor, "batch head first other"]:
        """How much each of the first tokens attends to each token of the other stream."""
        asking = self.asking_norm(self._among_own(own, own_absent, first))
        read = self.other_norm(other)
        return self.other(asking, read, read, average_attn_weights=False)[1]

    def _among_own(self, own: Tensor, absent: Tensor | None, first: int | None) -> Tensor:
        normed = self.own_norm(own)
        asking = normed if first is None else normed[:, :first]
        found, _ = self.own(asking, normed, normed, key_padding_mask=absent, need_weights=False)
        return (own if first is None else own[:, :first]) + found


class TwoStreams(nn.Module):
    """A vision tower's tokens and a text tower's words, fused by parallel co-attention.

    Source: Ji et al. 2023, "Seeing What You Miss: Vision-Language Pre-training with Semantic
    Completion Learning" (arXiv 2211.13437), and its released code. There, a norm follows each part
    of a layer; here it comes before, as in the towers, and there is no dropout.

    Args:
        width: of both towers.
        layers: of each stream.
        text: the text tower, a part of this module. If None, texts are always empty and only the
            image stream is read: the text stream starts from a learned vector in place of its
            start token, and has no last layer.
    """

    def __init__(
        self, width: int, heads: int, ff: int, layers: int, text: TextTower | None
    ) -> None:
        super().__init__()
        self.text = text
        self.image_in = nn.Linear(width, width)
        self.image_type = nn.Parameter(torch.randn(width) * 0.1)
        self.image_layers = nn.ModuleList(StreamLayer(width, heads, ff) for _ in range(layers))
        self.image_norm = nn.LayerNorm(width)
        n_text = layers - (text is None)
        self.text_layers = nn.ModuleList(StreamLayer(width, heads, ff) for _ in range(n_text))
        if text is None:
            self.empty = nn.Parameter(torch.randn(1, 1, width))
        else:
            self.text_in = nn.Linear(width, width)
            self.text_type = nn.Parameter(torch.randn(width) * 0.1)
            self.text_norm = nn.LayerNorm(width)

    def words(
        self, ids: Int[Tensor, "batch word"], present: Bool[Tensor, "batch word"]
    ) -> Float[Tensor, "batch word width"]:
        """The text tower's states; each word reads its whole text."""
        if self.text is None:
            raise ValueError("expected streams with a text tower, got streams without")
        return self.text.states(ids, ~present)

    def forward(
        self,
        image: Float[Tensor, "batch token width"],
        words: Float[Tensor, "batch word width"],
        present: Bool[Tensor, "batch word"],
        *,
        n_image: int | None = None,
        n_text: int | None = None,
    ) -> Fused:
        """Fuses images and texts.

        Args:
            image: the vision tower's tokens, its class token first.
            words: the text tower's states, from `words`.
            present: True for each word that is not padding.
            n_image, n_text: how many tokens of each stream are needed, the first ones; all if
                None. The last layer computes no others.
        """
        absent = ~present
        image, text = self._before_last(image, self._text_entering(words), absent)
        return Fused(
            self.image_norm(self.image_layers[-1](image, text, None, absent, n_image)),
            self.text_norm(self.text_layers[-1](text, image, absent, None, n_text)),
        )

    def alone(
        self, image: Float[Tensor, "batch token width"]
    ) -> Float[Tensor, "batch token width"]:
        """The image stream beside the empty text, which is a start token."""
        empty = self.empty_text().expand(len(image), -1, -1)
        image, text = self._before_last(image, empty, None)
        return self.image_norm(self.image_layers[-1](image, text))

    def empty_text(self) -> Float[Tensor, "1 1 width"]:
        """The start token of the empty text, as it enters the text stream."""
        if self.text is None:
            return self.empty
        start = torch.full((1, 1), _START, device=self.image_type.device)
        return self._text_entering(self.words(start, torch.ones_like(start, dtype=torch.bool)))

    def looks(
        self,
        image: Float[Tensor, "batch token width"],
        words: Float[Tensor, "batch word width"],
        present: Bool[Tensor, "batch word"],
    ) -> Float[Tensor, "batch head token"]:
        """Attention of the text's token 0 to the image's tokens in the last layer."""
        absent = ~present
        image, text = self._before_last(image, self._text_entering(words), absent)
        last: Any = self.text_layers[-1]
        return last.weights(text, image, absent, 1)[:, :, 0]

    def _text_entering(self, words: Tensor) -> Tensor:
        return self.text_in(words) + self.text_type

    def _before_last(
        self, image: Tensor, text: Tensor, absent: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Both streams after all layers but the last."""
        image = self.image_in(image) + self.image_type
        for image_layer, text_layer in zip(self.image_layers[:-1], self.text_layers, strict=False):
            image, text = image_layer(image, text, None, absent), text_layer(text, image, absent)
        return image, text
