"""What a model answers about one image without any edit; every prompt is run once."""

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
    """The clean answers of one model about one image.

    Args:
        vlm: from `retinoscope.load`.
        image: the original.
        caption_tokens, polling_tokens, answer_tokens: longest answers, as for `TokenAblation`.
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
        self._found: dict[tuple[str, str | None, bool], ModelOutput] = {}

    @cached_property
    def caption(self) -> str:
        """What it generates for "Describe this image."."""
        return self.describe(self.image)

    def describe(self, image: Image) -> str:
        """As `caption`, of another image; nothing is kept.

        Raises:
            StudyError: a logit is NaN.
        """
        run = self.vlm.run(self.vlm.prompt(image, DESCRIBE))
        text = run.generate(max_new_tokens=self._longest["generative"]).text
        return ModelOutput(run.logits, text).text or ""

    def score(self, ask: Ask, mode: str) -> Score:
        """Whether the model's answer to `ask` is correct under `mode` (see `MODES`).

        Raises:
            InputError: the tokenizer does not know the expected answer.
            StudyError: a logit is NaN.
        """
        return self._scorer.score(ask, mode, self._outcome(ask, needs_text(ask.task, (mode,))))

    def _outcome(self, ask: Ask, text: bool) -> ModelOutput:
        key = (ask.text, ask.prefill, text)
        if key not in self._found:
            run = self.vlm.run(self.vlm.prompt(self.image, ask.text, prefill=ask.prefill))
            said = None
            if ask.task == "generative" and ask.text == DESCRIBE:
                said = self.caption
            elif text:
                said = run.generate(max_new_tokens=self._longest[ask.task]).text
            self._found[key] = ModelOutput(run.logits, said, run.ending)
        return self._found[key]
