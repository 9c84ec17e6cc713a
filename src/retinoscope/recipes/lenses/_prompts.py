"""The prompts on which a lens is fitted: images with the model's own answers, or texts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ... import arguments
from ...data import Sample
from ...engine import VLM, Prompt, Run
from ...errors import InputError, UnknownWordsWarning
from ...store import Json, fingerprint_array, fingerprint_json

QUESTION, NEW_TOKENS = "Describe this image.", 24
"""What is asked about each image, and the number of tokens of the greedy answer."""

LONGEST = 128
"""Positions of a text; the rest is cut off."""


@dataclass(frozen=True, eq=False)
class FitPrompts:
    """Prompts made of samples or texts, each run when it is needed.

    Attributes:
        vlm: the model.
        items: samples, of which the image is used, or texts.
        question: what is asked about an image.
        new_tokens: length of the answer to it.
    """

    vlm: VLM
    items: Sequence[Sample] | Sequence[str]
    question: str = QUESTION
    new_tokens: int = NEW_TOKENS

    @classmethod
    def of(
        cls, vlm: VLM, data: Sequence[Sample] | Sequence[str], question: str, new_tokens: int
    ) -> FitPrompts:
        """Checks what it is given.

        Raises:
            InputError: no data, or neither samples nor texts.
        """
        arguments.listed(data, "data")
        if not len(data):
            raise InputError("expected samples or texts to fit a lens on, got none")
        if not isinstance(data[0], Sample | str):
            raise InputError(f"expected samples or texts, got {arguments.shown(data[0])}")
        return cls(vlm, data, question, arguments.whole(new_tokens, "new_tokens", 0))

    def __len__(self) -> int:
        return len(self.items)

    @property
    def texts(self) -> list[str] | None:
        """The texts; None for samples."""
        return None if self.images else [str(item) for item in self.items]

    @property
    def images(self) -> bool:
        """Whether there are images."""
        return isinstance(self.items[0], Sample)

    @property
    def settings(self) -> dict[str, Json]:
        """What the prompts depend on besides the data."""
        if self.images:
            return {"question": self.question, "new_tokens": self.new_tokens}
        return {"max_positions": LONGEST}

    @cached_property
    def fingerprint(self) -> str:
        """Of the texts, or of the images' pixels."""
        facts: list[Json] = []
        for index in range(len(self)):
            item = self.items[index]
            one = item if isinstance(item, str) else fingerprint_array(np.asarray(item.image))
            facts.append(one)
        return fingerprint_json(facts)

    def run(self, index: int) -> Run:
        """The run of one prompt, with the model's answer to a question about an image.

        Raises:
            InputError: a text that is empty or has special tokens, or an image that cannot be read.
            CapabilityError: the model does not read text without an image.
        """
        item = self.items[index]
        with warnings.catch_warnings():
            # One for each prompt would bury everything else.
            warnings.simplefilter("ignore", UnknownWordsWarning)
            if isinstance(item, str):
                return self.vlm.run(self._text(item))
            run = self.vlm.run(self.vlm.prompt(item.image, self.question))
            return run.generate(self.new_tokens).run() if self.new_tokens else run

    def _text(self, text: str) -> Prompt:
        """A raw prompt of at most `LONGEST` positions."""
        tokenizer = self.vlm.tokenizer
        most = min(LONGEST, self.vlm.adapter.context or LONGEST) - self._special
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) > most:
            text = tokenizer.decode(ids[:most], clean_up_tokenization_spaces=False)
        try:
            return self.vlm.prompt(None, text, raw=True)
        except InputError as error:
            raise InputError(f"the text {text[:40]!r}: {error}") from error

    @cached_property
    def _special(self) -> int:
        """The number of tokens that stand around a text."""
        alone = self.vlm.tokenizer("a", add_special_tokens=False)["input_ids"]
        return len(self.vlm.prompt(None, "a", raw=True).inputs.input_ids) - len(alone)
