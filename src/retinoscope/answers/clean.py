"""A model's answers about one image without any edit; every prompt is run once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .pieces import Answers
from .scoring import ModelOutput, Score, Scorer, needs_text
from .tasks import DESCRIBE, Ask

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..engine import VLM


class CleanAnswers:
    """One model's answers about one image, without any edit.

    Args:
        vlm: from `retinoscope.load`.
        image: the image.
        caption_tokens, polling_tokens, answer_tokens: maximum lengths, as for `TokenAblation`.
    """

    def __init__(
        self,
        vlm: VLM,
        image: Image,
        caption_tokens: int = 200,
        polling_tokens: int = 10,
        answer_tokens: int = 6,
    ) -> None:
        self.vlm, self.image = vlm, image
        self._longest = {
            "generative": caption_tokens,
            "polling": polling_tokens,
            "question": answer_tokens,
        }
        self._scorer = Scorer(Answers(vlm.tokenizer))
        self._outputs: dict[tuple[str, str | None, bool], ModelOutput] = {}

    @cached_property
    def caption(self) -> str:
        """The model's answer to "Describe this image."."""
        return self.describe(self.image)

    def describe(self, image: Image) -> str:
        """As `caption`, for another image; nothing is cached.

        Raises:
            StudyError: a logit is NaN.
        """
        run = self.vlm.run(self.vlm.prompt(image, DESCRIBE))
        text = run.generate(max_new_tokens=self._longest["generative"]).text
        return ModelOutput(run.logits, text).text or ""

    def score(self, ask: Ask, mode: str) -> Score:
        """Scores the model's answer to `ask` under `mode` (see `MODES`).

        Raises:
            InputError: the tokenizer does not know the expected answer.
            StudyError: a logit is NaN.
        """
        return self._scorer.score(ask, mode, self._outcome(ask, needs_text(ask.task, (mode,))))

    def _outcome(self, ask: Ask, text: bool) -> ModelOutput:
        key = (ask.text, ask.prefill, text)
        if key not in self._outputs:
            run = self.vlm.run(self.vlm.prompt(self.image, ask.text, prefill=ask.prefill))
            answer = None
            if ask.task == "generative" and ask.text == DESCRIBE:
                answer = self.caption
            elif text:
                answer = run.generate(max_new_tokens=self._longest[ask.task]).text
            self._outputs[key] = ModelOutput(run.logits, answer, run.ending)
        return self._outputs[key]
