"""Changes of captions that make a contrastive tower look at kinds."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...data.scenes import COLORS, KINDS
from ...pocket.vocabulary import build_tokenizer, token_id

_COLORS_DROPPED = 0.5


class CaptionWords:
    """Finds the colours and kinds in captions of drawn scenes."""

    def __init__(self) -> None:
        tokenizer = build_tokenizer()

        def ids(words: tuple[str, ...]) -> Int[Tensor, " word"]:
            return torch.tensor([token_id(tokenizer, f"▁{word}") for word in words])

        self._colors, self._kinds = ids(COLORS), ids(KINDS)

    def dropped_colors(
        self, captions: Int[Tensor, "batch token"], rng: np.random.Generator
    ) -> Bool[Tensor, "batch token"]:
        """Returns where the colour words of half of the captions are.

        A row of colours tells most scenes apart: without them, kinds must be used.
        """
        without = torch.from_numpy(rng.random(len(captions)) < _COLORS_DROPPED)
        return torch.isin(captions, self._colors) & without[:, None]

    def swapped_kinds(
        self, captions: Int[Tensor, "batch token"], rng: np.random.Generator
    ) -> Int[Tensor, "batch token"]:
        """Returns captions in which one object has become another kind, which is not in the scene.

        Such hard negatives make each kind count (Yuksekgonul et al. 2023, section 4).
        """
        named = torch.isin(captions, self._kinds)
        place = (torch.from_numpy(rng.random(captions.shape)) * named).argmax(1, keepdim=True)
        absent = (captions[:, :, None] != self._kinds).all(1)
        other = (torch.from_numpy(rng.random(absent.shape)) * absent).argmax(1)
        return captions.scatter(1, place, self._kinds[other][:, None])
