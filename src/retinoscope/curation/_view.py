"""What filters can ask about one sample; each forward pass is run at most once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from ..answers.clean import CleanAnswers
from ..answers.tasks import DESCRIBE
from ..data import Sample
from ..errors import InputError
from ..tokens import region_cover

if TYPE_CHECKING:
    from ..engine import VLM
    from ..tokens import Layout


class SampleView:
    """One sample, with a model's answers about it.

    Args:
        sample: the sample.
        vlm: the model; None if all filters read the data only.
        caption_tokens, polling_tokens, answer_tokens: maximum lengths of answers, in tokens.
    """

    def __init__(
        self,
        sample: Sample,
        vlm: VLM | None,
        caption_tokens: int = 200,
        polling_tokens: int = 10,
        answer_tokens: int = 6,
    ) -> None:
        self.sample = sample
        self._vlm = vlm
        self._longest = (caption_tokens, polling_tokens, answer_tokens)

    @property
    def vlm(self) -> VLM:
        """The model; raises `InputError` if there is none."""
        if self._vlm is None:
            raise InputError("expected a model for this filter, got None: give Curation a model")
        return self._vlm

    @cached_property
    def layout(self) -> Layout:
        """Where the image's visual tokens come from; needs no forward pass."""
        return self.vlm.prompt(self.sample.image, DESCRIBE).inputs.layouts[0]

    @cached_property
    def answers(self) -> CleanAnswers:
        """The model's answers about the image, without any edit."""
        return CleanAnswers(self.vlm, self.sample.image, *self._longest)

    def tokens(self, index: int) -> Int[np.ndarray, " token"]:
        """Returns indices of the visual tokens whose box object `index` overlaps."""
        mask = self.sample.objects[index].mask
        if not mask.any():
            return np.zeros(0, int)
        return np.flatnonzero(region_cover(mask, self.layout.size, self.layout.boxes) > 0)
