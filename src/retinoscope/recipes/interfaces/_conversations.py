"""Questions and answers in BLIP-2's format, in which the visual tokens come first of all.

A sequence is `[image slots] <s> question : turn turn ...`. Each turn goes on from there: the words
of its question, `answer :`, the answer and `</s>`. Alone, a turn has the ids and positions that
`interface_processor` gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Int
from transformers import PreTrainedTokenizerBase

from ...pocket.vocabulary import token_id
from ..pocket._packing import TokenBatch, Turn, pack
from ..pocket._turns import Turns

AFTER_IMAGE = "Question:"
BEFORE_ANSWER = "Answer:"


class Conversations(Turns):
    """Makes turns in this format, and packs them.

    Half of the polling questions are left out, as for the pocket models, and half of those for
    positions, which are the longest. Those for evaluation only are never trained on.
    """

    LEFT_OUT: ClassVar[Mapping[str, float]] = {"polling": 0.5, "position": 0.5}

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(tokenizer)
        self.after = tuple(tokenizer(AFTER_IMAGE)["input_ids"])
        self.pad, self.image = (token_id(tokenizer, name) for name in ("<pad>", "<image>"))
        self._end = token_id(tokenizer, "</s>")

    def turn(self, question: str, answer: str, prefill: str = "") -> Turn:
        prompt = (*self._ids(question), *self._ids(BEFORE_ANSWER), *self._ids(prefill))
        # Captions hardly repeat: caching them would only fill memory.
        words = tuple(self._tokenizer(answer, add_special_tokens=False)["input_ids"])
        return Turn(prompt, (*words, self._end))

    def packed(
        self,
        examples: Sequence[Sequence[Turn]],
        slots: Int[np.ndarray, "batch slot"] | int,
        text_tokens: int,
    ) -> TokenBatch:
        """Packs the turns behind image slots.

        Args:
            examples: the turns of each example.
            slots: ids at the visual positions, or their number, for placeholders.
            text_tokens: number of positions for turns; those that do not fit are left out.
        """
        if isinstance(slots, int):
            slots = np.full((len(examples), slots), self.image)
        return pack(examples, (), slots, text_tokens, self.pad, self.after)
