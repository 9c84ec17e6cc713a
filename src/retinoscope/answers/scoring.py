"""Scores a model's output under each rule set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float

from ..errors import StudyError
from .matching import answers, names_object, paper_first_piece, paper_names_object, paper_says_yes
from .pieces import Answers, probability, says_yes
from .tasks import Ask

_MODES_OF = {
    "generative": ("paper", "corrected"),
    "polling": ("paper", "corrected"),
    "question": ("paper", "corrected", "whole-word"),
}


@dataclass(frozen=True)
class ModelOutput:
    """The logits at the last position (vocab,) and, if requested, the generated text.

    `after` is the end of the prompt, before the answer (`run.ending`).

    Raises:
        StudyError: a logit is NaN, which comparisons would silently take for some answer.
    """

    logits: Float[torch.Tensor, " vocab"]
    text: str | None = None
    after: str = ""

    def __post_init__(self) -> None:
        refuse_nan(self.logits)


def refuse_nan(logits: Float[torch.Tensor, " vocab"]) -> None:
    """Raises `StudyError` if a logit is NaN."""
    count = int(torch.isnan(logits).sum())
    if count:
        raise StudyError(
            f"{count} of {logits.numel()} logits are NaN: the model overflows in "
            f"{str(logits.dtype).removeprefix('torch.')} or its weights are damaged; "
            "try bfloat16 or float32"
        )


@dataclass(frozen=True)
class Score:
    """`probability` of the expected answer's first piece (None for captions), and the answer."""

    correct: bool
    probability: float | None
    answer: str


def modes_of(task: str, modes: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the `modes` that exist for `task`."""
    return tuple(mode for mode in modes if mode in _MODES_OF[task])


def needs_text(task: str, modes: tuple[str, ...]) -> bool:
    """Whether scoring needs generated text, not only the logits of the next token."""
    if task == "generative":
        return True
    return {"polling": "paper", "question": "whole-word"}[task] in modes


@dataclass(frozen=True)
class Scorer:
    """Scores the outputs of one model."""

    answers: Answers

    def score(self, ask: Ask, mode: str, outcome: ModelOutput) -> Score:
        """Returns whether `outcome` answers `ask` under `mode`.

        Raises:
            InputError: the tokenizer does not know the expected answer.
        """
        if ask.task == "generative":
            return self._caption(ask, mode, outcome)
        if ask.task == "polling":
            return self._polling(ask, mode, outcome)
        return self._question(ask, mode, outcome)

    def _caption(self, ask: Ask, mode: str, outcome: ModelOutput) -> Score:
        text = outcome.text or ""
        if mode == "paper":
            return Score(paper_names_object(ask.decoded(text), ask.answer), None, text)
        return Score(names_object(text, ask.answer), None, text)

    def _polling(self, ask: Ask, mode: str, outcome: ModelOutput) -> Score:
        yes, no = (self.answers.first_pieces(word, outcome.after) for word in ("yes", "no"))
        expected = ask.answer == "yes"
        chance = probability(outcome.logits, yes if expected else no)
        if mode == "paper":
            text = outcome.text or ""
            return Score(paper_says_yes(ask.decoded(text)) == expected, chance, text)
        is_yes = says_yes(outcome.logits, yes, no)
        return Score(is_yes == expected, chance, "yes" if is_yes else "no")

    def _question(self, ask: Ask, mode: str, outcome: ModelOutput) -> Score:
        pieces = self.answers.first_pieces(ask.answer, outcome.after)
        chance = probability(outcome.logits, pieces)
        top = int(outcome.logits.argmax())
        if mode == "paper":
            first, shown = self.answers.paper_first(ask.answer), self.answers.paper_text(top)
            return Score(paper_first_piece(shown, first), chance, shown)
        if mode == "whole-word":
            text = outcome.text or ""
            return Score(answers(text, ask.answer), chance, text)
        return Score(top in pieces, chance, self.answers.piece(top))
