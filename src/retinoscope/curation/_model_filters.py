"""Filters that ask the model: does it name the object, and only because it sees it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..answers.hallucination import HallucinationFilter
from ..answers.tasks import DESCRIBE, PREFILL, TASKS, Ask, polling_text, question_asks
from ..errors import InputError
from ._filters import Filter, Mode, Verdict
from ._view import SampleView

CAPTION, REPLACED = "caption", "caption_replaced"
"""Keys of the hallucination filter's record: the captions of both images."""


@dataclass(frozen=True)
class Hallucination(HallucinationFilter, Filter):
    """`HallucinationFilter` as a filter of a curation, with the same settings.

    The corrected rule drops an object without a visual token.
    """

    name: ClassVar[str] = "hallucination"
    needs_model: ClassVar[bool] = True

    @property
    def text(self) -> str:
        paper = self.mode == "paper"
        rule = "as a substring" if paper else "as a whole word"
        what = "its patches of the centre square" if paper else "its pixels"
        return f"the caption names it ({rule}), but no longer once {what} are {self.fill}"

    def judge(self, view: SampleView, index: int) -> Verdict:
        if self.mode == "corrected" and not len(view.tokens(index)):
            return Verdict(False, "no visual token on the object")
        answers = view.answers
        outcome = self.outcome(answers.describe, view.sample, index, view.layout, answers.caption)
        reason = "named" if outcome.kept else "named also without it"
        heard: dict[str, str] = dict(zip((CAPTION, REPLACED), outcome.captions, strict=False))
        return Verdict(outcome.kept, reason if outcome.before else "not named", heard)


@dataclass(frozen=True)
class BaselineCorrect(Filter):
    """Objects about which the model answers correctly.

    Args:
        task: "generative" (the caption names it), "polling" (it says yes) or "question" (one of
            the data's questions about this object alone is answered right).
        mode: rule for correctness, "corrected" or "paper".
        prefill: put before the answer to questions that ask for a name; None for none.
    """

    task: Literal["generative", "polling", "question"] = "generative"
    mode: Mode = "corrected"
    prefill: str | None = PREFILL

    name: ClassVar[str] = "baseline-correct"
    needs_model: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}")
        if self.mode not in ("paper", "corrected"):
            raise InputError(f"mode must be 'corrected' or 'paper', got {self.mode!r}")

    @property
    def text(self) -> str:
        what = {
            "generative": "the caption names it",
            "polling": "“Is there a …?” is answered yes",
            "question": "a question about it is answered right",
        }
        return f"{what[self.task]} ({self.mode} rule)"

    def judge(self, view: SampleView, index: int) -> Verdict:
        asks = self._asks(view, index)
        if not asks:
            return Verdict(False, "no question")
        answer = ""
        for ask in asks:
            score = view.answers.score(ask, self.mode)
            answer = score.answer
            if score.correct:
                return Verdict(True, f"right: {_short(answer)}", {self.task: answer})
        return Verdict(False, f"wrong: {_short(answer)}", {self.task: answer})

    def _asks(self, view: SampleView, index: int) -> tuple[Ask, ...]:
        name = view.sample.objects[index].name
        if self.task == "generative":
            return (Ask("generative", "caption", DESCRIBE, name, (index,)),)
        if self.task == "polling":
            return (Ask("polling", "polling", polling_text(name), "yes", (index,)),)
        kinds = ("color", "kind", "relation", "question")
        asks = question_asks(view.sample, kinds, self.prefill)
        return tuple(ask for ask in asks if ask.objects == (index,))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
