"""The first stage of a query transformer: contrast, matching and captioning, on captions alone.

Source: Li et al. 2023, "BLIP-2", section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ...interfaces import Reading, Seen
from .._captions import Captions, hard_negatives

_SMOOTHING = 0.1


class QueryTransformer(Protocol):
    """An interface with a text side, as the losses need it; see `interfaces.QFormer`."""

    def queries(self, seen: Seen) -> Float[Tensor, "batch query width"]: ...

    def texts(
        self, ids: Int[Tensor, "batch word"], present: Bool[Tensor, "batch word"]
    ) -> Float[Tensor, "batch word width"]: ...

    def both(
        self,
        seen: Seen,
        ids: Int[Tensor, "batch word"],
        present: Bool[Tensor, "batch word"],
        reading: Reading,
    ) -> tuple[Float[Tensor, "batch query width"], Float[Tensor, "batch word width"]]: ...


class Matching(nn.Module):
    """The heads of the three losses.

    Args:
        width: of queries and texts.
        n_words: size of the vocabulary of the captions; `n_words` itself is the id that starts a
            caption to be generated, so a query transformer embeds `n_words + 1` ids.
        d_joint: width of the space of the contrast.
    """

    def __init__(self, width: int, n_words: int, d_joint: int = 64) -> None:
        super().__init__()
        self.n_words = n_words
        self.image = nn.Linear(width, d_joint)
        self.caption = nn.Linear(width, d_joint)
        self.match = nn.Linear(width, 2)
        self.word = nn.Linear(width, n_words)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(
        self,
        former: QueryTransformer,
        seen: Seen,
        captions: Captions,
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        """The loss of each objective: "contrast", "matching" and "captioning"."""
        scores = self.scores(former.queries(seen), former.texts(captions.ids, captions.present))
        return {
            "contrast": _both_ways(scores),
            "matching": self._matching(former, seen, captions, scores.detach(), generator),
            "captioning": self._captioning(former, seen, captions),
        }

    def scores(
        self,
        queries: Float[Tensor, "image query width"],
        texts: Float[Tensor, "text word width"],
    ) -> Float[Tensor, "image text"]:
        """Similarity of images and texts: that of the query that is nearest to the text."""
        images = F.normalize(self.image(queries), dim=-1)
        captions = F.normalize(self.caption(texts[:, 0]), dim=-1)
        nearest = torch.einsum("iqd,td->itq", images, captions).amax(-1)
        return nearest * self.log_scale.exp().clamp(max=100)

    def match_logits(
        self, former: QueryTransformer, seen: Seen, captions: Captions
    ) -> Float[Tensor, "batch 2"]:
        """Logits of "another image's caption" and "this image's", the mean over the queries."""
        queries, _ = former.both(seen, captions.ids, captions.present, "together")
        return self.match(queries).mean(1)

    def _matching(
        self,
        former: QueryTransformer,
        seen: Seen,
        captions: Captions,
        scores: Float[Tensor, "image text"],
        generator: torch.Generator,
    ) -> Float[Tensor, ""]:
        """Each pair beside one with a hard negative image and one with a hard negative text."""
        images, texts = hard_negatives(scores, generator)
        own = torch.arange(len(scores), device=scores.device)
        rows, asked = torch.cat([own, images, own]), torch.cat([own, own, texts])
        shown = {name: tensor[rows] for name, tensor in seen.items()}
        logits = self.match_logits(former, shown, captions.chosen(asked))
        labels = torch.zeros(len(rows), dtype=torch.long, device=scores.device)
        labels[: len(own)] = 1
        return F.cross_entropy(logits, labels)

    def _captioning(
        self, former: QueryTransformer, seen: Seen, captions: Captions
    ) -> Float[Tensor, ""]:
        read = captions.ids.clone()
        read[:, 0] = self.n_words
        _, words = former.both(seen, read[:, :-1], captions.present[:, :-1], "causal")
        wanted = captions.ids[:, 1:].masked_fill(~captions.present[:, 1:], -100)
        return F.cross_entropy(
            self.word(words).flatten(0, 1), wanted.flatten(), label_smoothing=_SMOOTHING
        )


def _both_ways(scores: Float[Tensor, "image text"]) -> Float[Tensor, ""]:
    target = torch.arange(len(scores), device=scores.device)
    losses = [F.cross_entropy(s, target, label_smoothing=_SMOOTHING) for s in (scores, scores.T)]
    return (losses[0] + losses[1]) / 2


def total(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Float[Tensor, ""]:
    """The weighted sum; a loss without a weight counts once."""
    return torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
