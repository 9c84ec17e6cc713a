"""Losses on pairs of images and captions in two streams: matching, hidden words, completion.

Source: Ji et al. 2023, "Seeing What You Miss" (arXiv 2211.13437), and its released code.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..interfaces import Fused, TwoStreams
from ._captions import Captions, drawn_words, hard_negatives

HIDDEN_PATCHES = 0.8
"""Share of an image's patches that are left out before the tower, for completion."""
HIDDEN_WORDS = 0.4
"""Share of a caption's words that are hidden for completion. The release draws them with
replacement, so that it hides a little less."""
_PREDICTED_WORDS = 0.15
_TEMPERATURE = 0.03


class PairLosses(nn.Module):
    """The losses and their heads.

    Args:
        width: of both streams.
        n_words: size of the vocabulary of the captions.
        negatives: other images for each caption, and other captions for each image, in matching.
    """

    def __init__(self, width: int, n_words: int, negatives: int = 1) -> None:
        super().__init__()
        self.negatives = negatives
        self.image_pool, self.text_pool = nn.Linear(width, width), nn.Linear(width, width)
        self.match = nn.Linear(2 * width, 2)
        self.word = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, n_words)
        )

    def forward(
        self,
        streams: TwoStreams,
        image: Float[Tensor, "batch token width"],
        part: Float[Tensor, "batch seen_token width"] | None,
        captions: Captions,
        words: Float[Tensor, "batch word width"],
        scores: Float[Tensor, "batch batch"],
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        """The loss of each objective: "matching", "words" and, with `part`, "completion".

        Args:
            image: the tower's tokens of whole images.
            part: its tokens of images of which it saw `1 - HIDDEN_PATCHES`.
            words: the text tower's states of the whole captions.
            scores: similarity of each image and each caption in nats, to choose negatives.
        """
        losses = {
            "matching": self._matching(streams, image, captions, words, scores, generator),
            "words": self._words(streams, image, captions, generator),
        }
        if part is not None:
            losses["completion"] = completion(streams, image, part, captions, words, generator)
        return losses

    def match_logits(self, fused: Fused) -> Float[Tensor, "batch 2"]:
        """Logits of "another image's caption" and "this image's"."""
        image, text = self.image_pool(fused.image[:, 0]), self.text_pool(fused.text[:, 0])
        return self.match(torch.cat([image, text], 1).tanh())

    def _matching(
        self,
        streams: TwoStreams,
        image: Tensor,
        captions: Captions,
        words: Tensor,
        scores: Tensor,
        generator: torch.Generator,
    ) -> Float[Tensor, ""]:
        """Each pair beside hard negatives; the release draws another image at random."""
        images, texts = hard_negatives(scores.detach(), generator, self.negatives)
        own = torch.arange(len(image), device=image.device)
        again = own.repeat(self.negatives)
        rows, asked = torch.cat([own, images, again]), torch.cat([own, again, texts])
        fused = streams(image[rows], words[asked], captions.present[asked], n_image=1, n_text=1)
        labels = torch.zeros(len(rows), dtype=torch.long, device=image.device)
        labels[: len(own)] = 1
        return F.cross_entropy(self.match_logits(fused).float(), labels)

    def _words(
        self, streams: TwoStreams, image: Tensor, captions: Captions, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        hidden = drawn_words(captions, _PREDICTED_WORDS, generator)
        read = captions.without(hidden)
        fused = streams(image, streams.words(read.ids, read.present), read.present, n_image=1)
        return F.cross_entropy(self.word(fused.text[hidden]).float(), captions.ids[hidden])


def completion(
    streams: TwoStreams,
    image: Float[Tensor, "batch token width"],
    part: Float[Tensor, "batch seen_token width"],
    captions: Captions,
    words: Float[Tensor, "batch word width"],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Token 0 of a masked image, or text, must be that of the whole one; the other is whole.

    The token of the whole image is read beside the masked text, and the other way round, so that
    two passes give both; no gradient flows through what is to be met.
    """
    read = captions.without(drawn_words(captions, HIDDEN_WORDS, generator))
    covered = streams.words(read.ids, read.present)
    image_masked = streams(part, words, captions.present, n_image=1, n_text=1)
    text_masked = streams(image, covered, captions.present, n_image=1, n_text=1)
    return _met(image_masked.image[:, 0], text_masked.image[:, 0]) + _met(
        text_masked.text[:, 0], image_masked.text[:, 0]
    )


def _met(
    made: Float[Tensor, "batch width"], wanted: Float[Tensor, "batch width"]
) -> Float[Tensor, ""]:
    """Cross-entropy over rows plus that over columns, not halved, as in the release."""
    made, wanted = (F.normalize(part.float(), dim=-1) for part in (made, wanted.detach()))
    scores = made @ wanted.T / _TEMPERATURE
    own = torch.arange(len(scores), device=scores.device)
    return F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)
