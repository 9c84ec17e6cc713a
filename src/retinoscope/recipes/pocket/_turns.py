"""The training conversations: a scene's caption and questions as token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from transformers import PreTrainedTokenizerBase

from ...data import Question
from ._packing import Turn

DESCRIBE = "Describe this image."
EVALUATION_ONLY = ("polling-adversarial",)
"""Question kinds that are never trained on."""
NAMED_BY = ("kind", "relation")
"""Question kinds whose answer is a kind's name; they are also asked with the paper's prefill."""


class Turns:
    """Makes `Turn`s from a scene's texts, with the variations that the models must handle.

    Half of the polling questions use the fixed article of the paper's prompts ("Is there a apple
    ..."), and half of the questions for a kind come with the paper's prefill "It is a", whatever
    the correct article: neither is then unknown to the model, and the article does not give the
    answer away.
    """

    LEFT_OUT: ClassVar[Mapping[str, float]] = {"polling": 0.5}
    """Share of the questions of a kind that is dropped: polling questions are nearly half of all,
    and the pocket models learn them first."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}

    def _ids(self, text: str) -> tuple[int, ...]:
        known = self._known.get(text)
        if known is None:
            known = tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])
            self._known[text] = known
        return known

    def turn(self, question: str, answer: str, prefill: str = "") -> Turn:
        """Returns a question and its answer in the LLaVA-1.5 format, without the image."""
        prompt = (*self._ids(question), *self._ids("ASSISTANT:"), *self._ids(prefill))
        # Captions hardly repeat: caching them would only fill memory.
        answer_ids = tuple(self._tokenizer(answer, add_special_tokens=False)["input_ids"])
        eos = self._tokenizer.eos_token_id
        assert isinstance(eos, int)
        return Turn(prompt, (*answer_ids, eos))

    def of_scene(
        self,
        caption: str,
        questions: Sequence[Question],
        rng: np.random.Generator,
    ) -> list[Turn]:
        """Returns the caption in half of the cases, and the questions in random order."""
        turns = [self.turn(DESCRIBE, caption)] if rng.random() < 0.5 else []
        for index in rng.permutation(len(questions)):
            question = questions[index]
            if question.kind in EVALUATION_ONLY:
                continue
            text, prefill = question.question, ""
            left_out = self.LEFT_OUT.get(question.kind)
            if left_out is not None and rng.random() < left_out:
                continue
            if question.kind == "polling" and rng.random() < 0.5:
                text = text.replace(" an ", " a ")
            if question.kind in NAMED_BY and rng.random() < 0.5:
                prefill = "It is a"
            turns.append(self.turn(text, question.answer, prefill))
        return turns
