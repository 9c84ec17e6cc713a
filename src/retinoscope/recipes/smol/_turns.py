"""Conversations about a scene in the language model's own chat format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from transformers import PreTrainedTokenizerBase

from ..pocket._packing import Turn
from ..pocket._turns import Turns

SYSTEM = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n"
)
BEFORE_IMAGE = f"{SYSTEM}<|im_start|>user\n"
"""The text that the chat template puts before the visual tokens."""


class ChatTurns(Turns):
    """Turns in the format of the chat template.

    A short answer is capitalised and has no full stop, as LLaVA's "single word or phrase" answers;
    after a prefill it is in lower case.
    """

    # A frozen language model learns polling questions last, so all are kept.
    LEFT_OUT: ClassVar[Mapping[str, float]] = {"polling": 0.0}

    def turn(self, question: str, answer: str, prefill: str = "") -> Turn:
        """Returns a question and its answer, starting after the visual tokens."""
        prompt = f"\n{question}<|im_end|>\n<|im_start|>assistant\n{prefill}"
        words = f" {answer}" if prefill else f"{answer[:1].upper()}{answer[1:]}"
        # No "a" or "an": it would give the answer away or be wrong; the prefill is the paper's.
        return Turn(self._ids(prompt), (*self._answer(words), self._end))

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(tokenizer)
        end = tokenizer.eos_token_id
        assert isinstance(end, int)
        self._end = end

    def _answer(self, words: str) -> tuple[int, ...]:
        # Captions hardly repeat: caching them would only fill memory.
        if len(words) < 24:
            return self._ids(words)
        return tuple(self._tokenizer(words, add_special_tokens=False)["input_ids"])
