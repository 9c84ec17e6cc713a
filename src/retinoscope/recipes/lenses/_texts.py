"""Texts through a model's text decoder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from jaxtyping import Float
from torch import Tensor

from ...engine import VLM, Prompt
from ...errors import InputError, UnknownWordsWarning
from ._admission import Admission


@dataclass(frozen=True, eq=False)
class ReadText:
    """A text as the model reads it.

    Attributes:
        text: as it was given.
        prompt: what the model reads.
        token_ids: of the prompt.
        start: the first position of the text itself; after the question, if it answers one.
    """

    text: str
    prompt: Prompt
    token_ids: tuple[int, ...]
    start: int

    def admit(self, admission: Admission) -> list[int]:
        """The positions that become entries."""
        return admission.of(self.token_ids, self.start)


class TextReader:
    """Reads texts by themselves, or as answers to a question."""

    def __init__(self, vlm: VLM, question: str | None) -> None:
        """
        Raises:
            CapabilityError: the model does not read text without an image.
            InputError: a question that `VLM.prompt` refuses.
        """
        self.vlm = vlm
        self._question = question
        # Refuses a model that cannot read text before anything is written.
        vlm.run(vlm.prompt(None, question or "a"))
        self._before = () if question is None else self._ids(vlm.prompt(None, question))

    def read(self, text: str) -> ReadText:
        """Prepares a text.

        Raises:
            InputError: a text that is empty, too long, or contains special tokens.
        """
        with warnings.catch_warnings():
            # One for each text would bury everything else; unknown words are no entries.
            warnings.simplefilter("ignore", UnknownWordsWarning)
            try:
                if self._question is None:
                    prompt = self.vlm.prompt(None, text, raw=True)
                else:
                    prompt = self.vlm.prompt(None, self._question, prefill=text)
            except InputError as error:
                raise InputError(f"the text {text[:40]!r}: {error}") from error
        ids = self._ids(prompt)
        before = zip(ids, self._before or self._beginning(ids), strict=False)
        start = len(list(takewhile(lambda pair: pair[0] == pair[1], before)))
        return ReadText(text, prompt, ids, start)

    def _beginning(self, ids: Sequence[int]) -> list[int]:
        """The special tokens before a text by itself."""
        special = getattr(self.vlm.tokenizer, "all_special_ids", ())
        return list(takewhile(lambda token_id: token_id in special, ids))

    @torch.no_grad()
    def states(
        self, read: ReadText, layers: Sequence[int], positions: Sequence[int]
    ) -> Float[Tensor, "layer position d_model"]:
        """float32 states at some positions, after each of `layers`."""
        run = self.vlm.run(read.prompt)
        return torch.stack([run.hidden(layer)[list(positions)].float() for layer in layers])

    @staticmethod
    def _ids(prompt: Prompt) -> tuple[int, ...]:
        return tuple(prompt.inputs.input_ids.tolist())
