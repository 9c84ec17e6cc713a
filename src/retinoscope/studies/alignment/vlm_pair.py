"""A text that the model is given as if it had written it, and maps of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from ...answers.tasks import DESCRIBE
from ...data import Segment
from ...errors import InputError
from ...saliency import METHODS, Exact, Goal, HeatMap, Target, TargetScore, resolve

if TYPE_CHECKING:
    from ...engine import VLM, Run


class VlmPair:
    """A description of an image, read by a model as its own answer to "Describe this image.".

    Maps are made from the model, the image and the text alone: where people looked is not known
    here.

    Raises:
        InputError: the model's tokenizer does not give the text back (a word that it does not
            know, say), or joins it with the prompt.
    """

    def __init__(
        self,
        vlm: VLM,
        image: Image.Image,
        text: str,
        score: TargetScore = "log-probability",
        exact: Exact = "incremental",
    ) -> None:
        self.vlm, self.text = vlm, text
        self.score: TargetScore = score
        self.exact: Exact = exact
        prompt = vlm.prompt(image, DESCRIBE)
        asked = prompt.inputs.input_ids.tolist()
        # The family's own way to put an answer behind a prompt decides about blanks.
        whole = vlm.prompt(image, DESCRIBE, prefill=text).inputs.input_ids.tolist()
        if whole[: len(asked)] != asked:
            raise InputError(
                "the model's tokenizer joins the description with the prompt, so that it cannot be "
                f"read as an answer: {text!r}"
            )
        ids = whole[len(asked) :]
        special = set(vlm.tokenizer.all_special_ids)
        read = "".join(vlm.adapter.vocabulary.texts(i for i in ids if i not in special)).strip()
        if read.lower() != text.strip().lower():
            raise InputError(
                f"expected a description that the model's tokenizer can write, got {text!r}, which "
                f"it reads as {read!r}: use words that the model knows"
            )
        self.run: Run = vlm.run(prompt, continuation=ids)
        self._goals: dict[tuple[int, int], Goal] = {}
        self._lead = len(text) - len(text.lstrip())

    @property
    def grid(self) -> tuple[int, int] | None:
        return self.run.image.grid

    def check(self, segment: Segment) -> None:
        """The text was read as a whole."""

    def goal(self, start: int, end: int) -> Goal:
        """Characters `start` to `end` of the text as a target; its passes are shared."""
        if (start, end) not in self._goals:
            span = max(start - self._lead, 0), end - self._lead
            target = Target.segment(span, self.score)
            self._goals[start, end] = resolve(self.run, target, self.exact)
        return self._goals[start, end]

    def heat_map(
        self,
        method: str,
        layer: int | None,
        segment: Segment,
        seed: int = 0,
        steps: int | None = None,
    ) -> HeatMap:
        """The map of one segment; raises as the method does."""
        goal = self.goal(segment.start, segment.end)
        return METHODS[method](self.run, goal, layer=layer, seed=seed, steps=steps)

    @property
    def fit(self) -> float:
        """The log-probability of the whole text, mean over its tokens; in nats."""
        whole = Target.segment((0, len(self.text.strip())))
        goal = resolve(self.run, whole)
        return goal.value / len(goal.ids)
